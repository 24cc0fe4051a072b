#include "tests/support/client.h"
#include "tests/support/contract.h"

#include <cmocka.h>
#include <inttypes.h>
#include <strings.h>

void client_open(struct client *client, struct served *served)
{
    *client = (struct client) {.served = served};
}

void client_close(struct client *client)
{
    if (client->open)
        wire_close(&client->wire);
    client->open = false;
}

static bool send_all(struct client *client, const struct asked *asked)
{
    char head[2048];
    const int len =
        snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s%s", asked->method,
                 asked->path, asked->type ? "Content-Type: " : "", asked->type ? asked->type : "",
                 asked->type ? "\r\n" : "", asked->headers ? asked->headers : "");

    assert_true(len > 0 && (size_t)len < sizeof head - 64);
    client->wire.bare = strcmp(asked->method, "HEAD") == 0;
    const int rest = snprintf(head + len, sizeof head - (size_t)len,
                              asked->headers && strstr(asked->headers, "Content-Length")
                                  ? "\r\n"
                                  : "Content-Length: %zu\r\n\r\n",
                              asked->len);
    return wire_send(&client->wire, head, (size_t)(len + rest)) &&
           (asked->len == 0 || wire_send(&client->wire, asked->body, asked->len));
}

/* A connection that the server has closed meanwhile is opened anew, once. */
struct wire_reply client_ask(struct client *client, const struct asked *asked)
{
    struct wire_reply reply;

    for (int attempt = 0; attempt < 2; attempt++) {
        const bool fresh = !client->open;

        if (fresh)
            assert_true(wire_open(&client->wire, client->served->port, WIRE_WIDE));
        client->open = true;
        const bool sent = send_all(client, asked); /* an early answer may come all the same */
        if (wire_read(&client->wire, &reply)) {
            contract_check(asked->method, asked->path, client->wire.bytes, reply.body, reply.len);
            return reply;
        }
        (void)sent;
        client_close(client);
        if (fresh)
            break;
    }
    fail_msg("no answer to %s %s", asked->method, asked->path);
    return reply;
}

const char *client_header(const struct client *client, const char *name, char value[256])
{
    const size_t len = strlen(name);

    value[0] = '\0';
    for (const char *line = client->wire.bytes; (line = strchr(line, '\n')) != NULL;) {
        if (*++line == '\r')
            break;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            (void)snprintf(value, 256, "%.*s", (int)strcspn(line + len + 2, "\r"), line + len + 2);
    }
    return value;
}

bool client_ends(const struct client *client)
{
    char value[256];

    return strstr(client_header(client, "Connection", value), "close") != NULL;
}

static json_t *parse(const struct wire_reply *reply)
{
    json_t *const root = json_loadb(reply->body, reply->len, JSON_REJECT_DUPLICATES, NULL);

    if (!root)
        fail_msg("not JSON: %.200s", reply->body);
    return root;
}

json_t *client_json(struct client *client, const char *method, const char *path, const char *body,
                    int status)
{
    const struct asked asked = {.method = method,
                                .path = path,
                                .type = body ? "application/json" : NULL,
                                .body = body,
                                .len = body ? strlen(body) : 0};
    const struct wire_reply reply = client_ask(client, &asked);

    if (reply.status != status)
        fail_msg("%s %s: %d, not %d: %.300s", method, path, reply.status, status, reply.body);
    return reply.len ? parse(&reply) : json_object();
}

static const char *text(const json_t *problem, const char *name)
{
    const char *const value = json_string_value(json_object_get(problem, name));

    if (!value)
        fail_msg("the problem has no text \"%s\"", name);
    return value;
}

void client_refused(struct client *client, const struct asked *asked, int status, const char *code)
{
    const struct wire_reply reply = client_ask(client, asked);
    char type[128], value[256], path[1024];

    if (reply.status != status || !strstr(reply.body, code))
        fail_msg("%s %s: %d, not %d %s: %.400s", asked->method, asked->path, reply.status, status,
                 code, reply.body);
    json_t *const problem = parse(&reply);
    (void)snprintf(type, sizeof type, "urn:descent:error:%s", code);
    assert_string_equal(text(problem, "type"), type);
    assert_string_equal(text(problem, "code"), code);
    (void)snprintf(path, sizeof path, "%.*s", (int)strcspn(asked->path, "?"), asked->path);
    assert_string_equal(text(problem, "instance"), path);
    assert_true(text(problem, "title")[0] && text(problem, "detail")[0]);
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
    assert_true(json_is_boolean(json_object_get(problem, "retryable")));
    assert_string_equal(client_header(client, "X-Request-Id", value), text(problem, "request_id"));
    assert_string_equal(client_header(client, "Content-Type", value), "application/problem+json");
    if (client_ends(client))
        client_close(client);
    json_decref(problem);
}
