/* test_description.c -- every route as its description has it, from the description alone
 *
 * Whatever the tables of routes come to hold, each operation is sent what it must refuse whatever
 * it is for: a length it cannot take, a media type it does not know, JSON that is none, names that
 * nobody has. tests/support/contract.c holds each reply to the description, tests/coverage asks for
 * the rest. */
#include "tests/support/client.h"
#include "tests/support/contract.h"
#include "tests/support/schema.h"

#include <ctype.h>
#include <cmocka.h>

static struct served server;
static struct client client;
static char session[64]; /* a real one: an update looks for it before it reads its body */

static int start(void **state)
{
    (void)state;
    client_open(&client, &server);
    if (!served_start(&server))
        return -1;
    json_t *const made = client_json(&client, "POST", "/v1/sessions",
                                     "{\"optimizer\":\"sgd\",\"coordinates\":1}", 201);
    (void)snprintf(session, sizeof session, "%s", json_string_value(json_object_get(made, "id")));
    json_decref(made);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    client_close(&client);
    return served_stop(&server) ? 0 : -1;
}

/* --- operations --- */

struct operation {
    char method[16]; /* "POST" */
    const char *path;
    const json_t *row;
    char target[256]; /* the path with `nobody` and 1, and the session where one is named */
};

typedef void each(const struct operation *operation);

static void fill(struct operation *operation)
{
    const bool of_session = strncmp(operation->path, "/v1/sessions/{id}", 17) == 0;
    size_t used = 0;

    for (const char *c = operation->path; *c; c++) {
        if (*c != '{') {
            operation->target[used++] = *c;
            continue;
        }
        const char *const value = c[1] == 'n' && c[2] == '}'                 ? "1"
                                  : of_session && strncmp(c, "{id}", 4) == 0 ? session
                                                                             : "nobody";
        used += (size_t)sprintf(operation->target + used, "%s", value);
        c = strchr(c, '}');
    }
    operation->target[used] = '\0';
}

static void for_each(each *act)
{
    const char *path, *method;
    json_t *operations, *row;

    json_object_foreach(json_object_get(contract_document(), "paths"), path, operations)
    {
        json_object_foreach(operations, method, row)
        {
            struct operation operation = {.path = path, .row = row};
            for (size_t i = 0; method[i] && i < sizeof operation.method - 1; i++)
                operation.method[i] = (char)toupper((unsigned char)method[i]);
            fill(&operation);
            act(&operation);
        }
    }
}

static const json_t *request_content(const struct operation *operation)
{
    return json_object_get(json_object_get(operation->row, "requestBody"), "content");
}

/* Can the operation be refused with this? */
static bool declares(const struct operation *operation, const char *status, const char *code)
{
    const json_t *const responses = json_object_get(operation->row, "responses");
    const json_t *const at = json_object_get(responses, status);
    char *const text = at ? json_dumps(schema_follow(contract_document(), at), 0) : NULL;
    const bool found = text && strstr(text, code);

    free(text);
    return found;
}

static void refuse(const struct operation *operation, const char *type, const char *headers,
                   const char *body, int status, const char *code)
{
    const struct asked asked = {.method = operation->method,
                                .path = operation->target,
                                .type = type,
                                .headers = headers,
                                .body = body,
                                .len = body ? strlen(body) : 0};

    client_refused(&client, &asked, status, code);
}

/* The first media type that it takes, or NULL. */
static const char *takes(const struct operation *operation)
{
    return json_object_iter_key(json_object_iter((json_t *)request_content(operation)));
}

/* --- lengths --- */

static void refuse_lengths(const struct operation *operation)
{
    const char *const type = takes(operation);

    refuse(operation, type, "Content-Length: 1\r\nContent-Length: 1\r\n", NULL, 400,
           "malformed_header");
    refuse(operation, type, "Content-Length: 99999999999\r\n", NULL, 413, "body_too_large");
}

static void lengths_are_refused(void **state)
{
    (void)state;
    for_each(refuse_lengths);
}

/* What is left of the connection after a chunked request is closed with it. */
static void refuse_chunks(const struct operation *operation)
{
    struct wire wire;
    struct wire_reply reply;
    char head[512];

    assert_true(wire_open(&wire, server.port, WIRE_WIDE));
    const int len = snprintf(head, sizeof head,
                             "%s %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "0\r\n\r\n",
                             operation->method, operation->target);
    assert_true(wire_send(&wire, head, (size_t)len) && wire_read(&wire, &reply));
    contract_check(operation->method, operation->target, wire.bytes, reply.body, reply.len);
    assert_int_equal(reply.status, 411);
    wire_close(&wire);
}

static void transfer_encodings_are_refused(void **state)
{
    (void)state;
    for_each(refuse_chunks);
}

/* --- media types --- */

static void refuse_types(const struct operation *operation)
{
    char accept[256];

    if (!takes(operation))
        return;
    refuse(operation, "text/html", NULL, "x", 415, "unsupported_media_type");
    client_header(&client, "Accept", accept);
    assert_non_null(strstr(accept, takes(operation)));
    refuse(operation, NULL, NULL, "x", 415, "unsupported_media_type");
}

static void media_types_are_refused(void **state)
{
    (void)state;
    for_each(refuse_types);
}

static void refuse_wishes(const struct operation *operation)
{
    if (!declares(operation, "406", "not_acceptable"))
        return;
    refuse(operation, takes(operation), "Accept: image/png\r\n", takes(operation) ? "{}" : NULL,
           406, "not_acceptable");
    refuse(operation, takes(operation), "Accept: */*;q=0\r\n", takes(operation) ? "{}" : NULL, 406,
           "not_acceptable");
}

static void wishes_nobody_meets_are_refused(void **state)
{
    (void)state;
    for_each(refuse_wishes);
}

/* --- JSON --- */

static const json_t *json_schema(const struct operation *operation)
{
    const json_t *const content = request_content(operation);
    const json_t *media = json_object_get(content, "application/json");

    return schema_follow(contract_document(), json_object_get(media, "schema"));
}

/* A value that the schema cannot be meant by. */
static json_t *wrong(const json_t *schema)
{
    char why[SCHEMA_WHY_BYTES];
    json_t *const number = json_integer(-1), *const object = json_object();
    const bool takes_number = schema_fits(contract_document(), schema, number, why);

    json_decref(takes_number ? number : object);
    return takes_number ? object : number;
}

static char *wrong_body(const json_t *schema)
{
    json_t *const body = json_object();
    const char *name;
    json_t *property;

    json_object_foreach(json_object_get(schema, "properties"), name, property)
        json_object_set_new(body, name, wrong(property));
    char *const text = json_dumps(body, 0);
    json_decref(body);
    return text;
}

static void refuse_json(const struct operation *operation)
{
    static const char type[] = "application/json";
    const json_t *const schema = json_schema(operation);

    if (!json_object_get(schema, "properties"))
        return;
    char *const body = wrong_body(schema);
    refuse(operation, type, NULL, "{\"", 400, "malformed_json");
    refuse(operation, type, NULL, "[]", 400, "malformed_json");
    refuse(operation, type, NULL, "{\"name\": 1, \"name\": 2}", 400, "duplicate_key");
    refuse(operation, type, NULL, "{\"no such field\": 1}", 422, "unknown_field");
    refuse(operation, type, NULL, body, 422, "invalid_value");
    if (json_array_size(json_object_get(schema, "required")) > 0)
        refuse(operation, type, NULL, "{}", 422, "missing_field");
    free(body);
}

static void json_is_checked(void **state)
{
    (void)state;
    for_each(refuse_json);
}

/* --- queries --- */

static void refuse_query(const struct operation *operation)
{
    const json_t *parameter;
    size_t i;

    json_array_foreach(json_object_get(operation->row, "parameters"), i, parameter)
    {
        const json_t *const schema = json_object_get(parameter, "schema");
        const char *const in = json_string_value(json_object_get(parameter, "in"));
        const char *const type = json_string_value(json_object_get(schema, "type"));
        char target[512];
        if (!in || strcmp(in, "query") != 0 || !type || strcmp(type, "integer") != 0)
            continue;
        const char *const name = json_string_value(json_object_get(parameter, "name"));
        const char *const values[] = {"", "x", "-1", "1.5", "99999999999999999999"};
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            (void)snprintf(target, sizeof target, "%s?%s=%s", operation->target, name, values[k]);
            const struct asked it = {.method = operation->method, .path = target};
            const struct wire_reply reply = client_ask(&client, &it);
            json_t *const problem = json_loadb(reply.body, reply.len, 0, NULL);
            const json_t *const first = json_array_get(json_object_get(problem, "errors"), 0);
            assert_int_equal(reply.status, 422);
            assert_string_equal(json_string_value(json_object_get(first, "query")), name);
            json_decref(problem);
        }
    }
}

static void queries_are_checked(void **state)
{
    (void)state;
    for_each(refuse_query);
}

/* --- names --- */

static json_t *sample(const json_t *schema);

static json_t *sample_object(const json_t *schema)
{
    const json_t *const properties = json_object_get(schema, "properties");
    json_t *const object = json_object();
    const json_t *name;
    size_t i;

    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        const char *const key = json_string_value(name);
        json_object_set_new(object, key, sample(json_object_get(properties, key)));
    }
    return object;
}

/* The least that fits. */
static json_t *sample(const json_t *schema)
{
    schema = schema_follow(contract_document(), schema);
    const char *const type = json_string_value(json_object_get(schema, "type"));
    const json_t *const words = json_object_get(schema, "enum");
    const json_int_t items = json_integer_value(json_object_get(schema, "minItems"));

    if (json_object_get(schema, "anyOf"))
        return sample(json_array_get(json_object_get(schema, "anyOf"), 0));
    if (words)
        return json_deep_copy(json_array_get(words, 0));
    if (type && strcmp(type, "string") == 0)
        return json_string("x");
    if (type && strcmp(type, "array") == 0) {
        json_t *const array = json_array();
        for (json_int_t i = 0; i < items; i++)
            json_array_append_new(array, sample(json_object_get(schema, "items")));
        return array;
    }
    if (type && strcmp(type, "object") == 0)
        return sample_object(schema);
    return json_integer(1);
}

static void refuse_names(const struct operation *operation)
{
    const json_t *const schema = json_schema(operation);
    struct operation nobodys = *operation;
    char *const at = strstr(nobodys.target, session);

    if (!strchr(operation->path, '{') || !declares(operation, "404", "not_found"))
        return;
    if (at)
        memcpy(at, "ses_x", 5);
    json_t *const body = schema ? sample(schema) : NULL;
    char *const text = body ? json_dumps(body, 0) : NULL;
    refuse(&nobodys, schema ? "application/json" : takes(operation), NULL, text, 404, "not_found");
    free(text);
    json_decref(body);
}

static void names_of_nobody_are_not_found(void **state)
{
    (void)state;
    for_each(refuse_names);
}

/* --- HEAD, and the document itself --- */

static void compare_head(const struct operation *operation)
{
    char length[256], type[256], headed[256];
    struct asked asked = {.method = "GET", .path = operation->target};

    if (strcmp(operation->method, "GET") != 0)
        return;
    const int status = client_ask(&client, &asked).status;
    client_header(&client, "Content-Length", length);
    client_header(&client, "Content-Type", type);
    asked.method = "HEAD";
    const struct wire_reply reply = client_ask(&client, &asked);
    assert_int_equal(reply.status, status);
    assert_string_equal(client_header(&client, "Content-Type", headed), type);
    if (strcmp(operation->path, "/metrics") != 0) /* that changes all the time */
        assert_string_equal(client_header(&client, "Content-Length", headed), length);
}

/* The connection goes on after it: a body that came anyway would be the next reply. */
static void head_is_get_without_a_body(void **state)
{
    (void)state;
    for_each(compare_head);
}

static void the_description_is_served(void **state)
{
    const struct asked asked = {.method = "GET", .path = "/openapi.json"};
    const struct wire_reply reply = client_ask(&client, &asked);
    json_t *const served = json_loadb(reply.body, reply.len, 0, NULL);

    (void)state;
    assert_int_equal(reply.status, 200);
    assert_true(json_equal(served, contract_document()));
    json_decref(served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_description_is_served),
        cmocka_unit_test(lengths_are_refused),
        cmocka_unit_test(transfer_encodings_are_refused),
        cmocka_unit_test(media_types_are_refused),
        cmocka_unit_test(wishes_nobody_meets_are_refused),
        cmocka_unit_test(json_is_checked),
        cmocka_unit_test(queries_are_checked),
        cmocka_unit_test(names_of_nobody_are_not_found),
        cmocka_unit_test(head_is_get_without_a_body),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
