#define _GNU_SOURCE
#include "transport.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

struct transport {
    CURL *curl;
    char *base, *authorization;
    long timeout_ms;
    int attempts;
};

/* What one try collects. */
struct reply {
    const struct call *call;
    struct answer answer;
    size_t capacity, announced;
    bool has_length;
    double retry_after;
    transport_piece *piece; /* of a stream */
    void *user;
    CURL *curl;
};

bool client_fail(descent_error *err, const char *code, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return false;
    memset(err, 0, sizeof *err);
    (void)snprintf(err->code, sizeof err->code, "%s", code);
    va_start(args, fmt);
    (void)vsnprintf(err->detail, sizeof err->detail, fmt, args);
    va_end(args);
    return false;
}

static double chance(void)
{
    uint32_t bits = 0;

    if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        bits = (uint32_t)time(NULL);
    return bits / 4294967296.0;
}

/* 0.1 s, 0.2 s, ... up to 5 s, half of it by chance. */
void transport_pause(int attempt, double at_least_seconds)
{
    const double whole = fmin(5.0, 0.05 * exp2(attempt));
    const double seconds = fmax(at_least_seconds, whole * (0.5 + 0.5 * chance()));
    struct timespec ts = {.tv_sec = (time_t)seconds};

    ts.tv_nsec = (long)((seconds - floor(seconds)) * 1e9);
    nanosleep(&ts, NULL);
}

/* --- what arrives --- */

static bool reply_reserve(struct reply *reply, size_t capacity)
{
    if (capacity <= reply->capacity)
        return true;
    char *const body = realloc(reply->answer.body, capacity);

    if (!body)
        return false;
    reply->answer.body = body;
    reply->capacity = capacity;
    return true;
}

/* Straight into the caller's buffer when it is an update of the expected size. */
static char *reply_room(struct reply *reply, size_t len)
{
    const struct call *const call = reply->call;
    const size_t end = reply->answer.bytes + len;

    if (call->into && reply->answer.status == 200 && reply->has_length &&
        reply->announced == call->into_bytes)
        return end <= call->into_bytes ? (char *)call->into + reply->answer.bytes : NULL;
    if (end >= SIZE_MAX / 2 || !reply_reserve(reply, end + 1 < 4096 ? 4096 : (end + 1) * 3 / 2))
        return NULL;
    reply->answer.body[end] = '\0';
    return reply->answer.body + reply->answer.bytes;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct reply *const reply = user;
    const size_t len = size * count;
    long status = 0;

    if (reply->answer.status == 0 &&
        curl_easy_getinfo(reply->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
        reply->answer.status = (int)status;
    if (reply->piece && reply->answer.status < 400)
        return reply->piece(reply->user, bytes, len) ? len : 0;
    char *const room = reply_room(reply, len);

    if (!room)
        return 0;
    memcpy(room, bytes, len);
    reply->answer.bytes += len;
    return len;
}

static const char *value_of(const char *line, size_t len, const char *name)
{
    const size_t n = strlen(name);

    if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    for (line += n + 1; *line == ' '; line++)
        ;
    return line;
}

/* libcurl's lines end with CR LF, which strtoull and strtod stop at. */
static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    struct reply *const reply = user;
    const size_t len = size * count;
    const char *value;

    if ((value = value_of(line, len, "Content-Length"))) {
        reply->has_length = true;
        reply->announced = (size_t)strtoull(value, NULL, 10);
    } else if ((value = value_of(line, len, "Descent-Step"))) {
        reply->answer.has_step = true;
        reply->answer.step = strtoull(value, NULL, 10);
    } else if ((value = value_of(line, len, "Descent-Replayed"))) {
        reply->answer.replayed = strncmp(value, "true", 4) == 0;
    } else if ((value = value_of(line, len, "Retry-After"))) {
        reply->retry_after = strtod(value, NULL);
    }
    return len;
}

/* --- what is sent --- */

static bool add(struct curl_slist **list, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static bool add(struct curl_slist **list, const char *fmt, ...)
{
    char line[768];
    va_list args;

    va_start(args, fmt);
    const int len = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    struct curl_slist *const longer =
        len > 0 && (size_t)len < sizeof line ? curl_slist_append(*list, line) : NULL;

    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool add_key(struct curl_slist **list)
{
    uint64_t bits[2];

    return getrandom(bits, sizeof bits, 0) == (ssize_t)sizeof bits &&
           add(list, "Idempotency-Key: %016" PRIx64 "%016" PRIx64, bits[0], bits[1]);
}

static bool make_headers(const struct transport *transport, const struct call *call,
                         struct curl_slist **list)
{
    return add(list, "Expect:") && /* no waiting for 100 Continue */
           (!transport->authorization || add(list, "%s", transport->authorization)) &&
           (!call->content_type ? add(list, "Content-Type:")
                                : add(list, "Content-Type: %s", call->content_type)) &&
           (!call->creates || add_key(list)) &&
           (!call->stepped || add(list, "Descent-Step: %" PRIu64, call->step)) &&
           (!call->stepped || isnan(call->loss) || add(list, "Descent-Loss: %.17g", call->loss));
}

static void set_body(CURL *curl, const struct call *call)
{
    if (strcmp(call->method, "GET") == 0)
        return;
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    if (strcmp(call->method, "DELETE") == 0)
        return;
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
}

/* curl_easy_reset keeps the connection. */
static CURLcode perform(struct transport *transport, const char *path, struct curl_slist *headers,
                        long timeout_ms, struct reply *reply)
{
    CURL *const curl = transport->curl;
    char *url = NULL;

    if (asprintf(&url, "%s%s", transport->base, path) < 0)
        return CURLE_OUT_OF_MEMORY;
    reply->curl = curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, transport->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    set_body(curl, reply->call);
    const CURLcode code = curl_easy_perform(curl);
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    reply->answer.status = (int)status;
    free(url);
    return code;
}

/* --- what it means --- */

static void text_of(const json_t *problem, const char *name, char *out, size_t size)
{
    const char *const text = json_string_value(json_object_get(problem, name));

    (void)snprintf(out, size, "%s", text ? text : "");
}

static bool refused(const struct reply *reply, descent_error *err)
{
    json_t *const problem =
        reply->answer.body ? json_loadb(reply->answer.body, reply->answer.bytes, 0, NULL) : NULL;

    (void)client_fail(err, "", "status %d", reply->answer.status);
    if (err) {
        err->status = reply->answer.status;
        text_of(problem, "code", err->code, sizeof err->code);
        if (json_is_string(json_object_get(problem, "detail")))
            text_of(problem, "detail", err->detail, sizeof err->detail);
        text_of(problem, "request_id", err->request_id, sizeof err->request_id);
        err->retryable = json_is_true(json_object_get(problem, "retryable"));
    }
    json_decref(problem);
    return false;
}

enum verdict { DONE, FAILED, AGAIN };

static enum verdict judge(const struct transport *transport, const struct reply *reply,
                          CURLcode code, int attempt, descent_error *err)
{
    const int status = reply->answer.status;
    const bool last = attempt == transport->attempts;

    if (code != CURLE_OK) {
        if (!last)
            return AGAIN;
        (void)client_fail(err, "connection_failed", "no answer in %d tries: %s", attempt,
                          curl_easy_strerror(code));
        return FAILED;
    }
    /* A 404 to a repeated DELETE: an earlier try has deleted it, and its answer was lost. */
    if (status < 400 ||
        (status == 404 && attempt > 1 && strcmp(reply->call->method, "DELETE") == 0))
        return DONE;
    if ((status == 429 || status == 503) && !last)
        return AGAIN;
    (void)refused(reply, err);
    return FAILED;
}

bool transport_send(struct transport *transport, const struct call *call, struct answer *answer,
                    descent_error *err)
{
    struct curl_slist *headers = NULL;
    enum verdict verdict = FAILED;

    if (!make_headers(transport, call, &headers)) {
        curl_slist_free_all(headers);
        return client_fail(err, "out_of_memory", "no memory for the headers");
    }
    for (int attempt = 1;; attempt++) {
        struct reply reply = {.call = call};
        const CURLcode code =
            perform(transport, call->path, headers, transport->timeout_ms, &reply);

        verdict = judge(transport, &reply, code, attempt, err);
        if (verdict == DONE) {
            *answer = reply.answer;
            break;
        }
        free(reply.answer.body);
        if (verdict == FAILED)
            break;
        transport_pause(attempt, reply.retry_after);
    }
    curl_slist_free_all(headers);
    return verdict == DONE;
}

bool transport_stream(struct transport *transport, const char *path, const char *after,
                      transport_piece *piece, void *user, bool *lost, descent_error *err)
{
    const struct call call = {.method = "GET", .path = path};
    struct reply reply = {.call = &call, .piece = piece, .user = user};
    struct curl_slist *headers = NULL;
    bool ok = add(&headers, "Accept: text/event-stream") &&
              (!after || add(&headers, "Last-Event-ID: %s", after)) &&
              (!transport->authorization || add(&headers, "%s", transport->authorization));

    *lost = false;
    if (!ok)
        (void)client_fail(err, "out_of_memory", "no memory for the headers");
    else if (perform(transport, path, headers, 0, &reply) != CURLE_OK || reply.answer.status < 400)
        *lost = true;
    else
        ok = refused(&reply, err);
    curl_slist_free_all(headers);
    free(reply.answer.body);
    return ok;
}

/* --- a transport's life --- */

static const char *setting(const char *given, const char *name, const char *otherwise)
{
    const char *const text = given && *given ? given : getenv(name);

    return text && *text ? text : otherwise;
}

static char *read_key(const char *path)
{
    char line[513];
    FILE *const file = fopen(path, "r");
    const bool ok = file && fgets(line, sizeof line, file);

    if (file)
        (void)fclose(file);
    if (ok)
        line[strcspn(line, "\r\n")] = '\0';
    return ok ? strdup(line) : NULL;
}

static bool set_key(struct transport *transport, const char *given, descent_error *err)
{
    const char *const path = getenv("DESCENT_API_KEY_FILE");
    const char *const text = setting(given, "DESCENT_API_KEY", NULL);
    char *const key = text ? strdup(text) : path && *path ? read_key(path) : NULL;

    if (!key && !text && path && *path)
        return client_fail(err, "invalid_argument", "no key can be read from %s", path);
    if (key && asprintf(&transport->authorization, "Authorization: Bearer %s", key) < 0)
        transport->authorization = NULL;
    const bool ok = !key || transport->authorization;

    free(key);
    return ok || client_fail(err, "out_of_memory", "no memory for the key");
}

static bool set_timeout(struct transport *transport, double given, descent_error *err)
{
    const char *const text = setting(NULL, "DESCENT_TIMEOUT_SECONDS", "60");
    const double seconds = given != 0 ? given : strtod(text, NULL);

    if (!(seconds > 0 && seconds < 1e6))
        return client_fail(err, "invalid_argument", "the timeout must be above 0 seconds");
    transport->timeout_ms = (long)ceil(seconds * 1000);
    return true;
}

static bool set_base(struct transport *transport, const char *given, descent_error *err)
{
    const char *const url = setting(given, "DESCENT_URL", "http://127.0.0.1:8080");

    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return client_fail(err, "invalid_argument", "%s is no http or https address", url);
    transport->base = strdup(url);
    for (size_t n = transport->base ? strlen(url) : 0; n && transport->base[n - 1] == '/';)
        transport->base[--n] = '\0';
    return transport->base || client_fail(err, "out_of_memory", "no memory for the address");
}

struct transport *transport_new(const descent_options *options, descent_error *err)
{
    const descent_options given = options ? *options : (descent_options) {0};
    struct transport *const transport = calloc(1, sizeof *transport);

    if (!transport) {
        (void)client_fail(err, "out_of_memory", "no memory for a client");
        return NULL;
    }
    transport->attempts = given.attempts > 0 ? given.attempts : 8;
    transport->curl = curl_easy_init();
    if (!transport->curl)
        (void)client_fail(err, "out_of_memory", "libcurl does not start");
    if (transport->curl && set_base(transport, given.url, err) &&
        set_key(transport, given.key, err) && set_timeout(transport, given.timeout_seconds, err))
        return transport;
    transport_free(transport);
    return NULL;
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    if (transport->curl)
        curl_easy_cleanup(transport->curl);
    free(transport->base);
    free(transport->authorization);
    free(transport);
}

int transport_attempts(const struct transport *transport)
{
    return transport->attempts;
}
