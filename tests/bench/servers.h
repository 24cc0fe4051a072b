/* servers.h -- our server and nginx, for the time of a benchmark */
#ifndef SERVERS_H
#define SERVERS_H

#include "tests/support/served.h"

#include <sys/types.h>

/* Create an LSTM optimizer "lstm" (fresh weights) beside the built-in families. */
void server_start(struct served *server);

/* Start a session and write its id. */
void server_session(const struct served *server, const char *optimizer, size_t n,
                    const char *durability, char id[64]);

/* Seconds that all threads of a process have computed: on a busy machine a better witness of what a
 * request costs than the clock on the wall. */
double process_cpu(pid_t pid);

size_t server_resident(const struct served *server); /* bytes */

/* nginx, one worker, answering 200 to everything; 0 when it is not there. */
struct nginx {
    pid_t pid;
    int port;
    char dir[64];
};
bool nginx_start(struct nginx *nginx);
void nginx_stop(struct nginx *nginx);

#endif
