/* http.c -- libmicrohttpd behind two up-calls: the one file that includes its header
 *
 * A request's states, all on the network thread except what the application does on any thread:
 * PIECE -> BODY (http_more), and the step to ANSWERED (http_reply).
 *
 *     HEADERS   the first call: fill the struct, ask `begin`
 *     BODY      bytes come into one buffer, of the announced length or of a piece
 *     PIECE     suspended; the application has a piece of the body
 *     SERVING   `serve` runs; what it answers on the spot goes out without another thread's help
 *     WAITING   not answered yet: suspended; the application has it
 *     ANSWERED  the reply is stored; it is queued by `serve`'s caller or the next call of the
 * handler
 *
 * Traps that shaped this file: only a suspended connection can be resumed, so the step from SERVING
 * and the reply take the same lock; a daemon must not be stopped while one is suspended (http_stop
 * waits); the path is taken raw, because the library cuts it at %00. */
#include "http.h"
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include "peers.h"
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

enum state { HEADERS, BODY, PIECE, SERVING, WAITING, ANSWERED };

static const enum probe_phase phase[] = {
    [HEADERS] = PROBE_NONE,    [BODY] = PROBE_RECEIVE,    [PIECE] = PROBE_RECEIVE,
    [SERVING] = PROBE_COMPUTE, [WAITING] = PROBE_COMPUTE, [ANSWERED] = PROBE_REPLY,
};

struct exchange {
    struct request request; /* first: the application's view */
    struct http *http;
    struct MHD_Connection *connection;
    enum state state;
    struct reply reply;
    char *path; /* raw, without the query */
    struct peer *peer;
    uint64_t received; /* bytes of the body */
    bool linger;       /* answered while its body still comes */
};

struct http {
    struct MHD_Daemon *daemon;
    MHD_socket listener; /* once it has been quiesced; 0 before */
    struct http_calls calls;
    struct probe *probe;
    struct peers *peers;
    struct streams *streams;
    uint16_t port;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    unsigned active;             /* requests between their first line and the end of their answer */
    unsigned waiting;            /* of these, SERVING or WAITING: the application has them */
    bool stopped;                /* nothing is handed to the application any more */
    atomic_bool quiet;           /* connections are to end with their next answer */
    uint64_t id_drawn, id_count; /* of request ids; the network thread's */
};

static void enter(struct exchange *exchange, enum state state)
{
    probe_move(exchange->http->probe, phase[exchange->state], phase[state]);
    exchange->state = state;
}

/* --- deadlines --- */

static void allow_seconds(struct peer *peer, uint64_t seconds)
{
    peer_deadline(peer, clock_ns() + seconds * 1000000000u);
}

/* For a body of `bytes`, in either direction. */
static void allow_body(struct peer *peer, uint64_t bytes)
{
    allow_seconds(peer, LIMIT_BODY_SECONDS + bytes / LIMIT_BODY_BYTES_PER_SECOND);
}

/* For a request to begin. */
static void allow_idle(struct peer *peer)
{
    allow_seconds(peer, LIMIT_IDLE_SECONDS + LIMIT_HEADER_SECONDS);
}

/* --- replies --- */

void reply_header(struct reply *reply, const char *name, const char *fmt, ...)
{
    va_list args;

    if (reply->headers == HTTP_HEADERS_MAX)
        return;
    reply->header[reply->headers].name = name;
    va_start(args, fmt);
    vsnprintf(reply->header[reply->headers].value, sizeof reply->header[0].value, fmt, args);
    va_end(args);
    for (char *c = reply->header[reply->headers].value; *c; c++)
        if (*c < 0x20 || *c == 0x7f) /* a client's text must not begin a header of its own */
            *c = ' ';
    reply->headers++;
}

static void release_body(void *body)
{
    buf_drop(body);
}

/* With the reply's body or stream, which is the response's then. */
static struct MHD_Response *make_body(struct exchange *exchange)
{
    struct stream *const stream = exchange->reply.stream;
    struct buf *const body = exchange->reply.body;
    struct MHD_Response *response;

    exchange->reply.stream = NULL;
    if (stream)
        return stream_response(exchange->http->streams, stream, exchange->connection,
                               exchange->peer);
    if (!body)
        return MHD_create_response_from_buffer(0, (void *)(char[]) {""}, MHD_RESPMEM_MUST_COPY);
    response = MHD_create_response_from_buffer_with_free_callback_cls(body->len, body->data,
                                                                      release_body, body);
    if (response)
        exchange->reply.body = NULL;
    return response;
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
    struct reply *const reply = &exchange->reply;
    struct MHD_Response *const response = make_body(exchange);

    if (!response)
        return NULL;
    if (reply->content_type)
        MHD_add_response_header(response, "Content-Type", reply->content_type);
    for (int i = 0; i < reply->headers; i++)
        MHD_add_response_header(response, reply->header[i].name, reply->header[i].value);
    MHD_add_response_header(response, "X-Request-Id", exchange->request.id);
    if (reply->close || atomic_load(&exchange->http->quiet))
        MHD_add_response_header(response, "Connection", "close");
    return response;
}

static enum MHD_Result queue_reply(struct exchange *exchange)
{
    struct MHD_Response *response = make_response(exchange);

    if (!response)
        return MHD_NO;
    enum MHD_Result queued =
        MHD_queue_response(exchange->connection, (unsigned)exchange->reply.status, response);
    MHD_destroy_response(response);
    return queued;
}

static struct exchange *exchange_of(struct request *request)
{
    return (struct exchange *)(void *)request; /* its first member */
}

/* Under the lock. */
static void end_waiting(struct http *http)
{
    if (--http->waiting == 0)
        pthread_cond_signal(&http->idle);
}

void http_reply(struct request *request, struct reply *reply)
{
    struct exchange *const exchange = exchange_of(request);
    struct http *const http = exchange->http;

    allow_body(exchange->peer, reply->body ? reply->body->len : 0);
    pthread_mutex_lock(&http->lock);
    const enum state was = exchange->state;
    exchange->reply = *reply;
    reply->body = NULL;
    reply->stream = NULL;
    enter(exchange, ANSWERED);
    if (was == WAITING || was == PIECE)
        MHD_resume_connection(exchange->connection);
    if (was >= PIECE)
        end_waiting(http);
    pthread_mutex_unlock(&http->lock);
}

void http_more(struct request *request)
{
    struct exchange *const exchange = exchange_of(request);
    struct http *const http = exchange->http;

    allow_body(exchange->peer, request->content_length - exchange->received);
    pthread_mutex_lock(&http->lock);
    request->body->len = 0;
    enter(exchange, BODY);
    MHD_resume_connection(exchange->connection);
    end_waiting(http);
    pthread_mutex_unlock(&http->lock);
}

/* --- requests --- */

const char *http_header(const struct request *request, const char *name)
{
    const struct exchange *exchange = (const struct exchange *)(const void *)request;

    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct request *request, const char *name)
{
    const struct exchange *exchange = (const struct exchange *)(const void *)request;

    return MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct visitor {
    http_visit *visit;
    void *arg;
};

static enum MHD_Result visit_one(void *arg, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    const struct visitor *const visitor = arg;

    (void)kind;
    visitor->visit(visitor->arg, name, value);
    return MHD_YES;
}

void http_query_each(const struct request *request, http_visit *visit, void *arg)
{
    const struct exchange *exchange = (const struct exchange *)(const void *)request;
    struct visitor visitor = {visit, arg};

    MHD_get_connection_values(exchange->connection, MHD_GET_ARGUMENT_KIND, visit_one, &visitor);
}

static bool id_ok(const char *id)
{
    size_t len = id ? strlen(id) : 0;

    if (len < 1 || len > LIMIT_REQUEST_ID_BYTES)
        return false;
    for (; *id; id++)
        if (*id < 0x21 || *id > 0x7e)
            return false;
    return true;
}

static void write_hex(char *to, uint64_t x)
{
    for (int i = 0; i < 16; i++)
        to[i] = "0123456789abcdef"[x >> (60 - 4 * i) & 15];
}

/* One never seen before: what this server drew at its start, and a count. */
static void make_id(struct http *http, char *id)
{
    write_hex(id, http->id_drawn);
    write_hex(id + 16, http->id_count++);
    id[32] = '\0';
}

static void choose_id(struct exchange *exchange)
{
    const char *given = http_header(&exchange->request, "X-Request-Id");

    if (id_ok(given))
        strcpy(exchange->request.id, given); /* its length was checked */
    else
        make_id(exchange->http, exchange->request.id);
}

static enum MHD_Result count_lengths(void *count, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    (void)kind, (void)value;
    if (strcasecmp(name, "Content-Length") == 0)
        ++*(int *)count;
    return MHD_YES;
}

/* The library has checked the digits of the length it uses; two of them are the application's to
 * refuse. */
static void read_length(struct request *request)
{
    struct exchange *exchange = exchange_of(request);
    const char *text = http_header(request, "Content-Length");
    int count = 0;

    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, count_lengths, &count);
    request->has_length = text != NULL;
    request->content_length = text ? strtoull(text, NULL, 10) : 0;
    request->ambiguous_length = count > 1;
}

/* Answered before its body. A small one is read first (and forgotten), so that the connection can
 * go on: the library ends every connection whose answer is queued in its first call, an empty body
 * included. Otherwise the answer goes out at once and the connection ends politely; so it does
 * where two lengths leave open which byte begins the next request. */
static enum MHD_Result answer_early(struct exchange *exchange)
{
    const struct request *const request = &exchange->request;
    const bool chunked = http_header(request, "Transfer-Encoding") != NULL;
    const bool small =
        request->content_length <= LIMIT_DRAIN_BYTES && !chunked && !request->ambiguous_length;

    if (small)
        return MHD_YES;
    exchange->reply.close = true;
    exchange->linger = true;
    return queue_reply(exchange);
}

static enum MHD_Result on_headers(struct exchange *exchange, const char *method)
{
    struct request *request = &exchange->request;

    request->began_ns = clock_ns();
    request->method = method;
    request->path = exchange->path;
    choose_id(exchange);
    read_length(request);
    enter(exchange, BODY);
    allow_body(exchange->peer, request->content_length);
    if (exchange->http->calls.begin(exchange->http->calls.app, request))
        return MHD_YES;
    return answer_early(exchange);
}

/* False once the daemon is about to be stopped, which no connection may be suspended for. */
static bool begin_waiting(struct http *http)
{
    pthread_mutex_lock(&http->lock);
    const bool ok = !http->stopped;
    http->waiting += ok;
    pthread_mutex_unlock(&http->lock);
    return ok;
}

/* True when `serve` has not answered on the spot: the connection is suspended until it is. */
static bool suspend(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->http->lock);
    const bool waits = exchange->state == SERVING;
    if (waits) {
        enter(exchange, WAITING);
        MHD_suspend_connection(exchange->connection);
    }
    pthread_mutex_unlock(&exchange->http->lock);
    return waits;
}

/* Let the application have what came, until it asks for more. */
static enum MHD_Result hand_over(struct exchange *exchange)
{
    struct http *const http = exchange->http;

    if (!begin_waiting(http))
        return MHD_NO;
    enter(exchange, PIECE);
    peer_deadline(exchange->peer, 0); /* it is ours to be quick now */
    MHD_suspend_connection(exchange->connection);
    http->calls.piece(http->calls.app, &exchange->request);
    return MHD_YES;
}

/* Bytes that fit into the body's buffer, without the NUL behind them. */
static size_t body_room(const struct request *request)
{
    const bool pieces = request->in_pieces && request->content_length > LIMIT_PIECE_BYTES;

    return pieces ? LIMIT_PIECE_BYTES : (size_t)request->content_length;
}

static enum MHD_Result on_body(struct exchange *exchange, const char *bytes, size_t *len)
{
    struct request *const request = &exchange->request;
    const size_t room = body_room(request);

    if (!request->body && !(request->body = buf_new(room + 1)))
        return MHD_NO; /* no memory for what was announced: the connection ends */
    if (*len > request->content_length - exchange->received)
        return MHD_NO;
    const size_t fits = room - request->body->len, taken = *len < fits ? *len : fits;
    memcpy(request->body->data + request->body->len, bytes, taken);
    request->body->len += taken;
    request->body->data[request->body->len] = '\0';
    exchange->received += taken;
    *len -= taken; /* what is left waits for http_more: only a suspended connection may leave any */
    return request->body->len == room && exchange->received < request->content_length
               ? hand_over(exchange)
               : MHD_YES;
}

static enum MHD_Result on_whole(struct exchange *exchange)
{
    struct http *const http = exchange->http;

    if (!begin_waiting(http))
        return MHD_NO;
    enter(exchange, SERVING);
    peer_deadline(exchange->peer, 0); /* it is ours to be quick now */
    http->calls.serve(http->calls.app, &exchange->request);
    return suspend(exchange) ? MHD_YES : queue_reply(exchange);
}

static enum MHD_Result on_request(void *http, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *len, void **own)
{
    struct exchange *exchange = *own;

    (void)http, (void)url, (void)version;
    if (!exchange)
        return MHD_NO; /* no memory when the request line came */
    switch (exchange->state) {
    case HEADERS:
        exchange->connection = connection;
        return on_headers(exchange, method);
    case BODY:
        return *len ? on_body(exchange, bytes, len) : on_whole(exchange);
    case ANSWERED:
        if (*len) { /* after an early answer: drained unread */
            *len = 0;
            return MHD_YES;
        }
        return queue_reply(exchange);
    case PIECE:
    case SERVING:
    case WAITING:
        break;
    }
    return MHD_YES;
}

static struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static void on_connection(void *http_, struct MHD_Connection *connection, void **peer,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http *const http = http_;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *peer = peer_add(
            http->peers,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
        allow_idle(*peer);
    } else {
        peer_remove(http->peers, *peer);
        *peer = NULL;
    }
}

/* Called with the raw request target before anything else; what it returns is the request's *own.
 */
static void *on_target(void *http_, const char *target, struct MHD_Connection *connection)
{
    struct http *const http = http_;
    struct exchange *const exchange = calloc(1, sizeof *exchange);

    if (!exchange)
        return NULL;
    exchange->path = strndup(target, strcspn(target, "?"));
    if (!exchange->path) {
        free(exchange);
        return NULL;
    }
    exchange->http = http;
    exchange->peer = peer_of(connection);
    allow_seconds(exchange->peer, LIMIT_HEADER_SECONDS);
    pthread_mutex_lock(&http->lock);
    http->active++;
    pthread_mutex_unlock(&http->lock);
    return exchange;
}

static void on_completed(void *http_, struct MHD_Connection *connection, void **own,
                         enum MHD_RequestTerminationCode why)
{
    struct http *http = http_;
    struct exchange *exchange = *own;

    (void)connection, (void)why;
    if (!exchange)
        return;
    if (exchange->linger)
        peer_linger(http->peers, exchange->peer);
    allow_idle(exchange->peer);
    http->calls.done(http->calls.app, &exchange->request);
    enter(exchange, HEADERS);
    buf_drop(exchange->request.body);
    buf_drop(exchange->reply.body);
    stream_lose(exchange->reply.stream);
    free(exchange->path);
    free(exchange);
    *own = NULL;
    pthread_mutex_lock(&http->lock);
    if (--http->active == 0)
        pthread_cond_signal(&http->idle);
    pthread_mutex_unlock(&http->lock);
}

/* --- life --- */

static bool parse_address(const struct http_options *options, struct sockaddr_storage *out,
                          dsc_err *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, options->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(options->port);
        return true;
    }
    if (inet_pton(AF_INET6, options->host, &v6->sin6_addr) != 1)
        return dsc_fail(err, FAULT_INTERNAL, "--listen", "%s is no numeric address", options->host);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(options->port);
    return true;
}

static unsigned connections_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 2 * LIMIT_SPARE_DESCRIPTORS)
        return LIMIT_SPARE_DESCRIPTORS;
    return (unsigned)(limit.rlim_cur > 65536 ? 65536 : limit.rlim_cur) - LIMIT_SPARE_DESCRIPTORS;
}

/* Draining is timed, and the day's clock may jump. */
static void init_idle(struct http *http)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&http->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void http_free(struct http *http)
{
    streams_close(http->streams);
    peers_close(http->peers);
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

bool http_start(struct http **out, const struct http_options *options,
                const struct http_calls *calls, dsc_err *err)
{
    struct sockaddr_storage address;
    struct http *http = calloc(1, sizeof *http);

    if (!http)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the listener");
    if (getrandom(&http->id_drawn, sizeof http->id_drawn, 0) != sizeof http->id_drawn)
        abort(); /* cannot happen for 8 bytes once the kernel's pool is ready */
    pthread_mutex_init(&http->lock, NULL);
    init_idle(http);
    http->calls = *calls;
    http->probe = options->probe;
    if (!parse_address(options, &address, err) || !peers_open(&http->peers, err) ||
        !streams_open(&http->streams, err)) {
        http_free(http);
        return false;
    }
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
            (address.ss_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0u),
        options->port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&address, MHD_OPTION_URI_LOG_CALLBACK, on_target, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)LIMIT_IDLE_SECONDS, MHD_OPTION_CONNECTION_LIMIT,
        connections_max(), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!http->daemon) {
        (void)dsc_fail(err, FAULT_INTERNAL, "--listen", "cannot listen on %s:%u: %s", options->host,
                       options->port, strerror(errno));
        http_free(http);
        return false;
    }
    http->port = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    *out = http;
    return true;
}

uint16_t http_port(const struct http *http)
{
    return http->port;
}

void http_quiesce(struct http *http)
{
    const MHD_socket listener = MHD_quiesce_daemon(http->daemon);

    atomic_store(&http->quiet, true);
    if (listener == MHD_INVALID_SOCKET)
        return;
    (void)shutdown(listener,
                   SHUT_RD); /* refuses connections; the library's thread may still use it */
    http->listener = listener;
}

/* Until every request is answered and its answer sent; clients that do not read get as long as
 * LIMIT_DRAINING_SECONDS, but a request that the application still has is always waited for. */
static void wait_until_idle(struct http *http)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LIMIT_DRAINING_SECONDS;
    pthread_mutex_lock(&http->lock);
    while (http->active > 0 && pthread_cond_timedwait(&http->idle, &http->lock, &until) == 0)
        ;
    while (http->waiting > 0)
        pthread_cond_wait(&http->idle, &http->lock);
    http->stopped = true;
    pthread_mutex_unlock(&http->lock);
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    streams_end(http->streams);
    wait_until_idle(http);
    MHD_stop_daemon(http->daemon);
    if (http->listener > 0)
        close(http->listener);
    http_free(http);
}
