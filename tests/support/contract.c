#include "contract.h"
#include "schema.h"
#include "server/openapi.h"

#include <ctype.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <cmocka.h>

/* One for the program: replies come from many places. */
static struct {
    pthread_once_t once;
    pthread_mutex_t lock; /* of seen and file */
    json_t *document;
    char mark[CONTRACT_MARK_BYTES];
    json_t *seen; /* its keys are the lines written */
    FILE *file;
} contract = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

/* A reply under examination. */
struct seen {
    const char *method, *target, *head, *body;
    size_t len;
    int status;
    const char *path; /* of the document, or NULL */
    const json_t *response;
    char *why; /* [CONTRACT_WHY_BYTES] */
};

/* The sentence, in seen->why; false. */
static bool __attribute__((format(printf, 2, 3)))
differs(const struct seen *seen, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(seen->why, CONTRACT_WHY_BYTES, fmt, args);
    va_end(args);
    return false;
}

/* --- the document --- */

static void open_record(void)
{
    char path[4096];
    const ssize_t len = readlink("/proc/self/exe", path, sizeof path - 8);

    if (len <= 0)
        return;
    strcpy(path + len, ".seen");
    contract.file = fopen(path, "w");
    if (contract.file)
        fprintf(contract.file, "%s\n", contract.mark);
}

static void load(void)
{
    struct buf *made = NULL;
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    dsc_err err = {0};

    if (!openapi_make(&made, &err))
        abort();
    for (size_t i = 0; i < made->len; i++)
        hash = (hash ^ made->data[i]) * 0x100000001b3u;
    snprintf(contract.mark, sizeof contract.mark, "%016llx", (unsigned long long)hash);
    contract.document = json_loadb((const char *)made->data, made->len, 0, NULL);
    contract.seen = json_object();
    buf_drop(made);
    if (!contract.document || !contract.seen)
        abort();
    open_record();
}

const json_t *contract_document(void)
{
    pthread_once(&contract.once, load);
    return contract.document;
}

void contract_mark(char mark[CONTRACT_MARK_BYTES])
{
    (void)contract_document();
    memcpy(mark, contract.mark, CONTRACT_MARK_BYTES);
}

/* Does the path, up to its query, fit? {x} is one segment that is not empty. */
static bool path_fits(const char *template, const char *path)
{
    while (*template) {
        if (*template != '{') {
            if (*template ++ != *path++)
                return false;
            continue;
        }
        const size_t len = strcspn(path, "/?");
        if (len == 0)
            return false;
        path += len;
        template = strchr(template, '}') + 1;
    }
    return *path == '\0' || *path == '?';
}

const char *contract_path(const char *target)
{
    const char *path, *best = NULL;
    json_t *operations;

    json_object_foreach(json_object_get(contract_document(), "paths"), path, operations)
    {
        if (path_fits(path, target) && (!best || !strchr(path, '{')))
            best = path;
    }
    return best;
}

static void lower(char out[16], const char *method)
{
    snprintf(out, 16, "%s", strcmp(method, "HEAD") == 0 ? "GET" : method);
    for (; *out; out++)
        *out = (char)tolower((unsigned char)*out);
}

static const json_t *operation(const struct seen *seen)
{
    char method[16];

    lower(method, seen->method);
    if (strcmp(seen->method, "HEAD") != 0)
        for (const char *c = seen->method; *c; c++)
            if (!isupper((unsigned char)*c))
                return NULL; /* methods are case-sensitive */
    return seen->path ? json_object_get(json_object_get(json_object_get(contract.document, "paths"),
                                                        seen->path),
                                        method)
                      : NULL;
}

/* The response that is declared for the status; NULL when there is none. */
static const json_t *response_of(const struct seen *seen)
{
    const json_t *const components = json_object_get(contract.document, "components");
    const json_t *const routeless = json_object_get(components, "responses");
    const json_t *const row = operation(seen);
    char key[16];

    if (!row)
        return seen->status == 404 && !seen->path ? json_object_get(routeless, "404.not_found")
               : seen->status == 405 && seen->path
                   ? json_object_get(routeless, "405.method_not_allowed")
                   : NULL;
    snprintf(key, sizeof key, "%d", seen->status);
    const json_t *const response = json_object_get(json_object_get(row, "responses"), key);
    return response ? schema_follow(contract.document, response) : NULL;
}

/* --- headers --- */

/* The value of a header of the head, without its line end; false when it is not there. */
static bool header(const char *head, const char *name, char value[256])
{
    const size_t len = strlen(name);

    for (const char *line = head; (line = strchr(line, '\n')) != NULL && *++line != '\r';)
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *const at = line + len + 1 + strspn(line + len + 1, " ");
            snprintf(value, 256, "%.*s", (int)strcspn(at, "\r\n"), at);
            return true;
        }
    return false;
}

/* A header's text as the JSON value that its schema speaks of. */
static json_t *header_value(const json_t *schema, const char *text)
{
    const char *const type = json_string_value(json_object_get(schema, "type"));
    char *end;

    if (type && strcmp(type, "integer") == 0) {
        const long long number = strtoll(text, &end, 10);
        return *text && !*end ? json_integer(number) : json_null();
    }
    if (type && strcmp(type, "boolean") == 0)
        return strcmp(text, "true") == 0    ? json_true()
               : strcmp(text, "false") == 0 ? json_false()
                                            : json_null();
    return json_string(text);
}

static bool check_header(const struct seen *seen, const char *name, const json_t *row)
{
    const json_t *const about = schema_follow(contract.document, row);
    const json_t *const schema = json_object_get(about, "schema");
    char text[256], why[SCHEMA_WHY_BYTES];

    if (!header(seen->head, name, text))
        return !json_is_true(json_object_get(about, "required")) ||
               differs(seen, "the header %s is missing", name);
    json_t *const value = header_value(schema, text);
    const bool ok = schema_fits(contract.document, schema, value, why);
    json_decref(value);
    return ok || differs(seen, "the header %s: %s", name, why);
}

/* Those of HTTP itself. */
static bool is_plain_header(const char *name)
{
    static const char *const names[] = {"Date", "Connection", "Content-Length", "Content-Type"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return false;
}

static bool has_header(const json_t *headers, const char *name)
{
    const char *key;
    json_t *row;

    json_object_foreach((json_t *)headers, key, row)
    {
        if (strcasecmp(key, name) == 0)
            return true;
    }
    return false;
}

static bool check_headers(const struct seen *seen)
{
    const json_t *const headers = json_object_get(seen->response, "headers");
    const char *name;
    json_t *row;

    json_object_foreach((json_t *)headers, name, row)
    {
        if (!check_header(seen, name, row))
            return false;
    }
    for (const char *line = seen->head; (line = strchr(line, '\n')) != NULL && *++line != '\r';) {
        char got[128];
        snprintf(got, sizeof got, "%.*s", (int)strcspn(line, ":\r"), line);
        if (!is_plain_header(got) && !has_header(headers, got))
            return differs(seen, "the header %s is not described", got);
    }
    return true;
}

/* --- bodies --- */

/* The document says the reply's status, and names the request. */
static bool check_problem(const struct seen *seen, const json_t *body)
{
    const json_int_t status = json_integer_value(json_object_get(body, "status"));
    const char *const id = json_string_value(json_object_get(body, "request_id"));
    char sent[256] = "";

    if (status != seen->status)
        return differs(seen, "the document says %lld", (long long)status);
    return (header(seen->head, "X-Request-Id", sent) && id && strcmp(id, sent) == 0) ||
           differs(seen, "the document is of request %s, the reply of %s", id ? id : "", sent);
}

static bool check_json(const struct seen *seen, const char *type, const json_t *schema)
{
    char why[SCHEMA_WHY_BYTES];
    json_error_t error;
    json_t *const body =
        json_loadb(seen->body, seen->len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (!body)
        return differs(seen, "no JSON: %s", error.text);
    bool ok = schema_fits(contract.document, schema, body, why) || differs(seen, "%s", why);
    if (ok && strcmp(type, "application/problem+json") == 0)
        ok = check_problem(seen, body);
    json_decref(body);
    return ok;
}

static bool check_body(const struct seen *seen)
{
    const json_t *const content = json_object_get(seen->response, "content");
    char type[256] = "";

    if (!content)
        return seen->len == 0 || differs(seen, "there is a body");
    if (!header(seen->head, "Content-Type", type) || !json_object_get(content, type))
        return differs(seen, "the media type \"%s\" is not described", type);
    const json_t *const schema = json_object_get(json_object_get(content, type), "schema");
    return !schema || strcmp(seen->method, "HEAD") == 0 || check_json(seen, type, schema);
}

/* --- the record --- */

/* The code of a problem document; "-" of a success. */
static void code_of(const struct seen *seen, char code[64])
{
    json_t *const body = seen->status >= 400 ? json_loadb(seen->body, seen->len, 0, NULL) : NULL;
    const char *const word = json_string_value(json_object_get(body, "code"));

    snprintf(code, 64, "%s", word ? word : "-");
    json_decref(body);
}

static void record(const struct seen *seen)
{
    const bool routed = operation(seen) != NULL;
    char line[512], code[64], method[16];

    if (strcmp(seen->method, "HEAD") == 0)
        return; /* a failure's code is in the body */
    lower(method, seen->method);
    code_of(seen, code);
    snprintf(line, sizeof line, "%s %s %d %s", routed ? method : "-", routed ? seen->path : "-",
             seen->status, code);
    pthread_mutex_lock(&contract.lock);
    if (contract.file && !json_object_get(contract.seen, line)) {
        json_object_set_new(contract.seen, line, json_true());
        fprintf(contract.file, "%s\n", line);
        fflush(contract.file);
    }
    pthread_mutex_unlock(&contract.lock);
}

/* --- a reply --- */

static bool judge(struct seen *seen)
{
    (void)contract_document();
    if (sscanf(seen->head, "HTTP/1.1 %d", &seen->status) != 1)
        return differs(seen, "there is no status line");
    seen->path = contract_path(seen->target);
    seen->response = response_of(seen);
    if (!seen->response)
        return differs(seen, "the status %d is not declared", seen->status);
    return check_headers(seen) && check_body(seen);
}

bool contract_allows(const char *method, const char *target, const char *head, const void *body,
                     size_t len, char why[CONTRACT_WHY_BYTES])
{
    struct seen seen = {
        .method = method, .target = target, .head = head, .body = body, .len = len, .why = why};

    return judge(&seen);
}

/* cmocka can fail a test on its own thread only. */
static void fail_reply(const struct seen *seen)
{
    char text[2048];

    snprintf(text, sizeof text, "%s %s is not answered as described: %s\n%.600s\n%.600s\n",
             seen->method, seen->target, seen->why, seen->head,
             seen->len < 100000 && seen->body ? seen->body : "");
    if (gettid() == getpid())
        fail_msg("%s", text);
    fputs(text, stderr);
    _exit(1);
}

void contract_check(const char *method, const char *target, const char *head, const void *body,
                    size_t len)
{
    char why[CONTRACT_WHY_BYTES];
    struct seen seen = {
        .method = method, .target = target, .head = head, .body = body, .len = len, .why = why};

    if (!judge(&seen))
        fail_reply(&seen);
    record(&seen);
}
