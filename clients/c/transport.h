/* transport.h -- one HTTP request over libcurl, tried again where that is safe; internal */
#ifndef DESCENT_TRANSPORT_H
#define DESCENT_TRANSPORT_H

#include "descent_client.h"

struct transport;

struct call {
    const char *method, *path;
    const char *content_type; /* NULL: no body */
    const void *body;
    size_t body_bytes;
    bool creates; /* with an Idempotency-Key */
    bool stepped; /* with Descent-Step, and Descent-Loss unless that is NAN */
    uint64_t step;
    double loss;
    void *into; /* takes a body of exactly `into_bytes` in place of a buffer of its own; may be NULL
                 */
    size_t into_bytes;
};

struct answer {
    int status;
    char *body; /* ends with a NUL that is not counted; NULL when `into` took it */
    size_t bytes;
    bool has_step, replayed;
    uint64_t step;
};

/* Called with each piece of a streamed body; false ends the stream. */
typedef bool transport_piece(void *user, const char *bytes, size_t len);

struct transport *transport_new(const descent_options *options, descent_error *err);
void transport_free(struct transport *transport);
int transport_attempts(const struct transport *transport);

/* Send until there is an answer. On success *answer's body is the caller's to free(). */
bool transport_send(struct transport *transport, const struct call *call, struct answer *answer,
                    descent_error *err);

/* GET a stream; once, without a limit of time. *lost: it broke off, another try may help. */
bool transport_stream(struct transport *transport, const char *path, const char *after,
                      transport_piece *piece, void *user, bool *lost, descent_error *err);

/* Wait before try `attempt` + 1. */
void transport_pause(int attempt, double at_least_seconds);

/* Fill err; always false. */
bool client_fail(descent_error *err, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
