/* served.h -- a real server as a child process, and requests to it
 *
 * Starts $DESCENT_BIN (build/descent by default) on a port of its own choice with a data directory
 * that survives served_kill and goes with served_stop. */
#ifndef SERVED_H
#define SERVED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

struct served {
    pid_t pid;
    int port;
    char dir[64];             /* "" before the first start */
    const char *const *flags; /* more arguments of serve, NULL-terminated; or NULL */
    const char *log;          /* the file that gets its stderr, at the end; NULL: nowhere */
    const char *key;          /* sent with every request; or NULL */
};

/* Start, or start again on the same data. Returns when it listens. */
bool served_start(struct served *served);

/* kill -9, and wait until the process is gone. */
bool served_kill(struct served *served);

/* SIGTERM; true when it ended with status 0. Removes the data. */
bool served_stop(struct served *served);

/* Send a request, JSON when body is not NULL; returns the status, or -1, and the reply's body as
 * text. */
int served_ask(const struct served *served, const char *method, const char *path, const char *body,
               char *reply, size_t reply_size);

/* The same with the reply's headers and the empty line in front of its body. */
int served_ask_whole(const struct served *served, const char *method, const char *path,
                     const char *body, char *reply, size_t reply_size);

#endif
