/* caller.h -- clients of a server under measurement
 *
 * A caller keeps one connection, sends a request prepared beforehand and reads the reply with as
 * few system calls as it can, into memory that it keeps. callers_run drives many of them from one
 * thread. */
#ifndef CALLER_H
#define CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A request's bytes, head and body; owned by the caller's user. */
struct request_text {
    char head[512];
    size_t head_len;
    const void *body;
    size_t body_len;
};

/* `more` are further header lines, each with its "\r\n". */
void request_make(struct request_text *text, const char *method, const char *path, const char *more,
                  const void *body, size_t body_len);

struct caller {
    int fd;
    char *reply; /* [cap], len read; a NUL behind the head */
    size_t len, cap;
    size_t head_len, whole; /* of the reply; whole is 0 until its head is there */
    int status;
    const char *body; /* in reply */
    size_t body_len;
    size_t sent; /* of the request under way */
};

void caller_open(struct caller *caller, int port);
void caller_close(struct caller *caller);

/* Send and read the whole reply; the status. */
int caller_ask(struct caller *caller, const struct request_text *text);

/* Send and do not wait for a reply. */
void caller_send(struct caller *caller, const struct request_text *text);

/* The milliseconds that Server-Timing gives for a phase, or 0. */
double caller_timing(const struct caller *caller, const char *phase);

/* Each of `count` callers sends its own request again and again, one at a time, until `seconds` are
 * over; returns the replies a second. Every status must be `status`. latency [*latencies], if not
 * NULL, gets the seconds of each request, as many as there is room for; *latencies their count. */
double callers_run(struct caller *callers, const struct request_text *texts, size_t count,
                   double seconds, int status, double *latency, size_t *latencies);

#endif
