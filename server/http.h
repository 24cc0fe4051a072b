/* http.h -- the gateway to libmicrohttpd: requests in, replies out
 *
 * One network thread (epoll) reads requests and sends replies; it never waits on a disk and never
 * computes for long. Two up-calls run on it and must not block: `begin` when the headers have
 * arrived, which answers at once what needs no body (404, 405, 411, 413, 415) or lets the body come
 * in; `serve` when the body is whole. The application answers each request exactly once, from any
 * thread, with http_reply: within the up-call, which is the fastest way for what takes
 * microseconds, or later, and until then the connection is suspended and the request struct stays
 * valid. */
#ifndef HTTP_H
#define HTTP_H

#include "buf.h"
#include "core/descent.h"
#include "limits.h"
#include "probe.h"
#include "stream.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http;

#define HTTP_HEADERS_MAX 12

/* One request. Everything is borrowed from the gateway until http_reply. */
struct request {
    const char *method;      /* "POST" */
    const char *path;        /* "/v1/sessions/abc", undecoded, without the query */
    uint64_t content_length; /* 0 when there is none */
    bool has_length;         /* a Content-Length header was there */
    bool ambiguous_length;   /* more than one Content-Length: to be refused */
    struct buf
        *body;      /* whole when `serve` is called; data is followed by a NUL byte (not in len) */
    bool in_pieces; /* `begin` may set it: body is then a piece, for `piece` or, the last one, for
                       `serve` */
    char id[LIMIT_REQUEST_ID_BYTES + 1]; /* X-Request-Id: the client's if well formed, else made */
    uint64_t began_ns;                   /* CLOCK_MONOTONIC when the headers had arrived */
    void *app;                           /* the application's own; NULL at first */
};

/* A reply. Strings are copied by http_reply, the body's count is taken over. */
struct reply {
    int status;
    const char *content_type; /* NULL when there is no body */
    struct buf *body;         /* may be NULL */
    struct stream *stream;    /* instead of body: comes piece by piece; its count is taken over */
    struct {
        const char *name; /* a constant */
        char value[192];
    } header[HTTP_HEADERS_MAX];
    int headers;
    bool close; /* close the connection afterwards */
};

struct http_options {
    const char *host;    /* a numeric address: "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;       /* 0 picks one */
    struct probe *probe; /* or NULL; borrowed */
};

struct http_calls {
    /* Headers are there. True: read the body (content_length bytes; the application has checked the
     * limit), then serve. False: http_reply has been called. */
    bool (*begin)(void *app, struct request *request);
    void (*serve)(void *app, struct request *request);
    /* A piece of LIMIT_PIECE_BYTES is there; nothing more is read until http_more, or http_reply
     * where it cannot be taken. NULL where no request comes in pieces. */
    void (*piece)(void *app, struct request *request);
    void (*done)(void *app, struct request *request); /* the reply was sent or the client is gone */
    void *app;
};

/* Start listening. FAULT_INTERNAL with a sentence that names the address and the reason. *out is
 * the caller's. */
bool http_start(struct http **out, const struct http_options *options,
                const struct http_calls *calls, dsc_err *err) DSC_MUST_CHECK;

uint16_t http_port(const struct http *http);

/* A request's header or query parameter, decoded; NULL when absent. Valid until http_reply, on any
 * thread. */
const char *http_header(const struct request *request, const char *name);
const char *http_query(const struct request *request, const char *name);

/* Every query parameter in the order in which it came; value may be NULL. */
typedef void http_visit(void *arg, const char *name, const char *value);
void http_query_each(const struct request *request, http_visit *visit, void *arg);

/* Answer. Exactly once for each request, on any thread. X-Request-Id is added. */
void http_reply(struct request *request, struct reply *reply);

/* A piece was taken: body is empty again, and the next one may come. Any thread. */
void http_more(struct request *request);

/* Append a header whose value is formatted; cut at its room. */
void reply_header(struct reply *reply, const char *name, const char *fmt, ...) DSC_PRINTF(3, 4);

/* Take no new connections; later http_stop ends the streams, waits until every request has been
 * answered, then frees. */
void http_quiesce(struct http *http);
void http_stop(struct http *http);

#endif
