/* fuzz_api.c -- a conversation with the whole API: routes, headers, queries, bodies, steps
 *
 * An input is a few requests as text, parted by a line "~":
 *
 *     POST /v1/sessions/$/update?x=1
 *     Content-Type: application/json
 *
 *     {"gradient": [1, 2]}
 *
 * $ in a path stands for the id of the session made last, because a fuzzer cannot guess it. What a
 * conversation creates is deleted after it, so that inputs do not depend on each other. Promises
 * held: one answer to each request; a status of the contract; a failure is a whole problem
 * document; a success is JSON where it says so; header values carry no control characters; an
 * update sent again is answered with the same bytes; what was created can be deleted. */
#include "server/fault.h"
#include "server/log.h"
#include "tests/support/direct.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { REQUESTS_MAX = 16, PAIRS_MAX = 12, MADE_MAX = REQUESTS_MAX };

struct talk {
    char made[MADE_MAX][192]; /* Locations, in order */
    size_t count;
    char session[80]; /* of the session made last */
};

static struct direct server; /* one for the process: libFuzzer has no other place to keep it */

static void check(bool promise)
{
    if (!promise)
        abort();
}

static void close_server(void)
{
    direct_close(&server);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    dsc_err err = {0};

    (void)argc, (void)argv;
    log_set_level(LOG_ERROR + 1);
    check(direct_open(&server, &err));
    atexit(close_server);
    return 0;
}

/* --- what every reply promises --- */

static const char *header_of(const struct reply *reply, const char *name)
{
    for (int i = 0; i < reply->headers; i++)
        if (strcmp(reply->header[i].name, name) == 0)
            return reply->header[i].value;
    return NULL;
}

static void check_headers(const struct reply *reply)
{
    for (int i = 0; i < reply->headers; i++)
        for (const char *c = reply->header[i].value; *c; c++)
            check((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static json_t *json_of(const struct reply *reply)
{
    check(reply->body != NULL);
    json_t *const json = json_loadb((const char *)reply->body->data, reply->body->len,
                                    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    check(json_is_object(json));
    return json;
}

/* The row of the contract that the document names has the status of the reply. */
static void check_problem(const struct reply *reply)
{
    json_t *const problem = json_of(reply);
    const char *const code = json_string_value(json_object_get(problem, "code"));
    size_t count, i = 0;
    const struct fault *const row = fault_rows(&count);

    check(code && strcmp(reply->content_type, "application/problem+json") == 0);
    while (i < count && strcmp(row[i].word, code) != 0)
        i++;
    check(i < count && row[i].status == reply->status);
    check(row[i].code != FAULT_INTERNAL); /* no input may cause one */
    check(json_integer_value(json_object_get(problem, "status")) == reply->status);
    check(json_string_length(json_object_get(problem, "detail")) > 0);
    check(json_is_string(json_object_get(problem, "instance")));
    json_decref(problem);
}

static void check_reply(const struct reply *reply)
{
    check_headers(reply);
    if (reply->status >= 400) {
        check_problem(reply);
        return;
    }
    check(reply->status == 200 || reply->status == 201 || reply->status == 202 ||
          reply->status == 204 || reply->status == 206 || reply->status == 304);
    if (reply->content_type && strcmp(reply->content_type, "application/json") == 0)
        json_decref(json_of(reply));
}

/* --- one request --- */

static char *cut(char **rest, const char *at)
{
    char *const text = *rest, *end = strstr(text, at);

    *rest = end ? end + strlen(at) : text + strlen(text);
    if (end)
        *end = '\0';
    return text;
}

/* "a=1&b=2" or header lines into pairs. */
static size_t split_pairs(char *text, const char *between, const char *inside,
                          struct direct_pair *out)
{
    size_t count = 0;

    while (*text && count < PAIRS_MAX) {
        char *pair = cut(&text, between);
        const char *const name = cut(&pair, inside);
        out[count++] = (struct direct_pair) {name, pair};
    }
    return count;
}

static void fill_in(char *out, size_t size, const char *path, const char *session)
{
    const char *const dollar = strchr(path, '$');

    if (dollar)
        snprintf(out, size, "%.*s%s%s", (int)(dollar - path), path, session, dollar + 1);
    else
        snprintf(out, size, "%s", path);
}

static void remember(struct talk *talk, const struct reply *reply)
{
    const char *const location = header_of(reply, "Location");

    if (reply->status != 201)
        return;
    check(location && talk->count < MADE_MAX);
    snprintf(talk->made[talk->count++], sizeof talk->made[0], "%s", location);
    if (strncmp(location, "/v1/sessions/", 13) == 0)
        snprintf(talk->session, sizeof talk->session, "%.79s", location + 13);
}

/* A retry of an answered step gives the same bytes, but for the word that says so. */
static void check_again(const struct direct_request *request, const struct reply *first)
{
    struct reply second;
    static const char not_again[] = "\"replayed\":false}";
    const char *const replayed = header_of(first, "Descent-Replayed");
    size_t len = first->body ? first->body->len : 0;

    if (first->status != 200 || !replayed || strcmp(replayed, "false") != 0)
        return;
    direct_ask(&server, request, &second);
    check_reply(&second);
    if (second.status == 200 && strcmp(header_of(&second, "Descent-Replayed"), "true") == 0) {
        if (strcmp(first->content_type, "application/json") == 0)
            len -= sizeof not_again - 1;
        check(second.body->len + 1 >= len &&
              memcmp(first->body->data, second.body->data, len) == 0);
        check(strcmp(header_of(first, "Descent-Step"), header_of(&second, "Descent-Step")) == 0);
    }
    buf_drop(second.body);
}

static void one_request(struct talk *talk, char *text, size_t len)
{
    struct direct_pair header[PAIRS_MAX], query[PAIRS_MAX];
    char path[256], *rest = text;
    char *const head = cut(&rest, "\n\n"), *line = head;
    char *const first = cut(&line, "\n");
    char *target = first;
    const char *const method = cut(&target, " ");
    char *raw = cut(&target, "?");
    struct reply reply;

    fill_in(path, sizeof path, raw, talk->session);
    const struct direct_request request = {
        .method = method,
        .path = path,
        .header = header,
        .headers = split_pairs(line, "\n", ": ", header),
        .query = query,
        .queries = split_pairs(target, "&", "=", query),
        .body = rest,
        .body_len = (size_t)(text + len - rest),
    };
    direct_ask(&server, &request, &reply);
    check_reply(&reply);
    remember(talk, &reply);
    check_again(&request, &reply);
    buf_drop(reply.body);
}

/* --- the conversation --- */

static void clean_up(struct talk *talk)
{
    while (talk->count > 0) {
        struct reply reply;

        direct_ask(&server,
                   &(struct direct_request) {.method = "DELETE", .path = talk->made[--talk->count]},
                   &reply);
        check(reply.status == 204 || reply.status == 404);
        buf_drop(reply.body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct talk talk = {0};
    char *const text = malloc(size + 1);
    size_t at = 0;

    check(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    for (int i = 0; i < REQUESTS_MAX && at < size; i++) {
        const char *const end = memmem(text + at, size - at, "\n~\n", 3);
        const size_t len = end ? (size_t)(end - text) - at : size - at;

        text[at + len] = '\0';
        one_request(&talk, text + at, len);
        at += len + (end ? 3 : 1);
    }
    clean_up(&talk);
    free(text);
    return 0;
}
