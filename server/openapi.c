/* openapi.c -- OpenAPI 3.1 from the rows of the tables
 *
 * What it is for. A client's author reads, and a generator compiles, what each route takes, gives
 * and refuses; a test holds every reply to it (tests/support/contract.c). Nothing is described
 * here: the sentences and bounds are those of the rows that decode, check and encode.
 *
 * How. Trees of Jansson, built from the leaves. `with` and `push` take the tree and the new part
 * and give back the tree, or NULL when either is NULL or there is no memory; so a failure anywhere
 * arrives at the root, and nobody in between asks.
 *
 *     paths       one operation for each row; HEAD is not listed, it is GET without the body
 *     responses   the row's success, and for each status of its failures the codes that have it
 *     components  each shape under its name; each set of codes with one status under theirs
 *
 * A request's objects are closed, as unknown fields are refused; a reply's are open, as later
 * versions may add to them. Sizes of texts are in bytes of UTF-8 here and in characters there: a
 * text that fits the first fits the second.
 *
 * Held to account by. tests/unit/test_openapi.c, tests/http/test_description.c. */
#include "openapi.h"
#include "api.h"
#include "fault.h"
#include "refusal.h"
#include "shapes.h"
#include <assert.h>
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of a path or method that is in no table. */
#define ROUTELESS (CAN(FAULT_NOT_FOUND) | CAN(FAULT_METHOD_NOT_ALLOWED))

enum { NAME_BYTES = 256 };

/* --- trees --- */

static json_t *with(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) == 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *push(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *text(const char *value)
{
    return json_string(value);
}

/* {name: value} */
static json_t *one(const char *name, json_t *value)
{
    return with(json_object(), name, value);
}

static json_t *reference(const char *kind, const char *name)
{
    char path[NAME_BYTES + 32];

    snprintf(path, sizeof path, "#/components/%s/%s", kind, name);
    return one("$ref", text(path));
}

static json_t *words_of(const char *const *words)
{
    json_t *list = json_array();

    for (; *words; words++)
        list = push(list, text(*words));
    return list;
}

/* --- schemas --- */

static json_t *typed(const char *type)
{
    return one("type", text(type));
}

/* 10 and not 10.0 where it is a whole number. */
static json_t *whole_or_real(double value)
{
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value)
                                                       : json_real(value);
}

/* The row's min and max under the names that the kind's schema has for them. */
static json_t *bounded(json_t *schema, const struct field *row, const char *min, const char *max)
{
    if (row->min == 0 && row->max == 0)
        return schema;
    return with(with(schema, min, whole_or_real(row->min)), max, whole_or_real(row->max));
}

static json_t *number(const struct field *row, const char *type)
{
    return bounded(typed(type), row, "minimum", "maximum");
}

static json_t *string(const struct field *row)
{
    json_t *schema = bounded(typed("string"), row, "minLength", "maxLength");

    if (row->words)
        schema = with(schema, "enum", words_of(row->words));
    if (row->format)
        schema = with(schema, "format", text(row->format));
    return schema;
}

static json_t *array(json_t *items)
{
    return with(typed("array"), "items", items);
}

static json_t *items_at_most(json_t *schema, size_t count)
{
    return count ? with(schema, "maxItems", json_integer((json_int_t)count)) : schema;
}

static json_t *labels(const struct field *row)
{
    json_t *value = with(typed("string"), "maxLength", json_integer(LIMIT_LABEL_BYTES));

    if (row->flags & FIELD_MERGE)
        value = with(value, "type", push(push(json_array(), text("string")), text("null")));
    return with(with(typed("object"), "additionalProperties", value), "maxProperties",
                json_integer(LIMIT_LABELS));
}

static json_t *schema_of_kind(const struct field *row)
{
    switch (row->kind) {
    case FIELD_BOOL:
        return typed("boolean");
    case FIELD_INT:
        return number(row, "integer");
    case FIELD_REAL:
        return number(row, "number");
    case FIELD_STRING:
        return string(row);
    case FIELD_WORD:
        return with(typed("string"), "enum", words_of(row->words));
    case FIELD_WORDS:
        return with(bounded(array(with(typed("string"), "enum", words_of(row->words))), row,
                            "minItems", "maxItems"),
                    "uniqueItems", json_true());
    case FIELD_OBJECT:
        return reference("schemas", row->shape->name);
    case FIELD_LIST:
        return bounded(array(reference("schemas", row->shape->name)), row, "minItems", "maxItems");
    case FIELD_INTS:
        return items_at_most(array(number(row, "integer")), row->max_items);
    case FIELD_REALS:
        return items_at_most(array(number(row, "number")), row->max_items);
    case FIELD_STRINGS:
        return items_at_most(array(string(row)), row->max_items);
    case FIELD_WORD_OR_REALS:
        return one("oneOf",
                   push(push(json_array(), with(typed("string"), "enum", words_of(row->words))),
                        items_at_most(array(number(row, "number")), row->max_items)));
    case FIELD_LABELS:
        return labels(row);
    case FIELD_JSON:
        return row->format ? reference("schemas", row->format) : typed("object");
    case FIELD_ANY:
        return json_object();
    case FIELD_VECTOR:
        return array(typed("number"));
    }
    return NULL;
}

/* Also null: a second type, a further word, or a second branch beside a reference. */
static json_t *nullable(json_t *schema)
{
    json_t *const type = json_incref(json_object_get(schema, "type"));
    json_t *const words = json_object_get(schema, "enum");

    if (!type)
        return one("anyOf", push(push(json_array(), schema), typed("null")));
    if (words)
        (void)json_array_append_new(words, json_null());
    return with(schema, "type", push(push(json_array(), type), text("null")));
}

/* What an optional value is when it is not given; 0 says that there is no such value. */
static json_t *with_default(json_t *schema, const struct field *row)
{
    if (row->kind == FIELD_WORD && (row->flags & FIELD_OPTIONAL))
        return with(schema, "default", text(row->words[(int)row->initial]));
    if (row->initial == 0)
        return schema;
    return with(schema, "default",
                row->kind == FIELD_BOOL  ? json_true()
                : row->kind == FIELD_INT ? json_integer((json_int_t)row->initial)
                                         : json_real(row->initial));
}

static json_t *schema_of(const struct field *row)
{
    json_t *const schema = schema_of_kind(row);

    return with(with_default(row->flags & FIELD_NULLABLE ? nullable(schema) : schema, row),
                "description", text(row->doc));
}

static json_t *branches_of(const struct shape *const *one_of)
{
    json_t *list = json_array();

    for (; *one_of; one_of++)
        list = push(list, reference("schemas", (*one_of)->name));
    return list;
}

static json_t *object_of(const struct shape *shape, bool closed)
{
    json_t *properties = json_object(), *required = json_array(), *schema;

    for (const struct field *row = shape->fields; row->name; row++) {
        properties = with(properties, row->name, schema_of(row));
        if (!(row->flags & FIELD_OPTIONAL))
            required = push(required, text(row->name));
    }
    schema = with(with(typed("object"), "description", text(shape->doc)), "properties", properties);
    if (json_array_size(required) > 0)
        schema = with(schema, "required", required);
    else
        json_decref(required);
    if (shape->one_of)
        return with(schema, "oneOf", branches_of(shape->one_of));
    return closed ? with(schema, "additionalProperties", json_false()) : schema;
}

/* The shape and those of its rows, each once. */
static json_t *add_shape(json_t *schemas, const struct shape *shape, bool closed)
{
    if (!shape || json_object_get(schemas, shape->name))
        return schemas;
    schemas = with(schemas, shape->name, object_of(shape, closed));
    for (const struct field *row = shape->fields; row->name; row++)
        schemas = add_shape(schemas, row->shape, closed);
    for (const struct shape *const *one = shape->one_of; one && *one; one++)
        schemas = add_shape(schemas, *one, closed);
    return schemas;
}

/* --- parameters of families, by their own rows --- */

static json_t *parameter_of_family(const dsc_hyper_spec *row)
{
    json_t *schema;

    if (row->kind == DSC_HYPER_WORD)
        schema = with(with(typed("string"), "enum", words_of(row->words)), "default",
                      text(row->words[(int)row->initial]));
    else
        schema =
            with(with(with(typed(row->kind == DSC_HYPER_INT ? "integer" : "number"),
                           row->open ? "exclusiveMinimum" : "minimum", whole_or_real(row->min)),
                      "maximum", whole_or_real(row->max)),
                 "default", whole_or_real(row->initial));
    return with(schema, "description", text(row->doc));
}

/* In a request what is left out has its default; in a reply nothing is. */
static json_t *config_of(const dsc_family *family)
{
    json_t *properties = json_object();

    for (const dsc_hyper_spec *row = family->hyper; row->name; row++)
        properties = with(properties, row->name, parameter_of_family(row));
    return with(with(with(with(typed("object"), "title", text(family->name)), "description",
                          text(family->doc)),
                     "properties", properties),
                "additionalProperties", json_false());
}

static json_t *add_configs(json_t *schemas)
{
    json_t *all = json_array();
    char name[80];

    for (size_t i = 0; dsc_families[i]; i++) {
        snprintf(name, sizeof name, "config_%s", dsc_families[i]->name);
        schemas = with(schemas, name, config_of(dsc_families[i]));
        all = push(all, reference("schemas", name));
    }
    return with(schemas, "config",
                with(one("description", text("The parameters of one family.")), "anyOf", all));
}

static json_t *all_schemas(void)
{
    json_t *schemas = add_configs(add_shape(json_object(), &problem_shape, false));
    const struct route *route;

    for (size_t i = 0; (route = route_at(i)); i++) {
        schemas = add_shape(schemas, route->in, true);
        schemas = add_shape(schemas, route->out, false);
    }
    return schemas;
}

/* --- parameters --- */

/* What stands in braces in a path. */
static const struct field path_rows[] = {
    {"file", FIELD_STRING, .min = 1, .max = 79, .doc = "A file's name."},
    {"name", FIELD_STRING, .min = 1, .max = 63, .doc = "An optimizer's name."},
    {"n", FIELD_INT, .min = 1, .max = STEP_MAX, .doc = "A version's number."},
    {"alias", FIELD_STRING, .min = 1, .max = 32, .doc = "An alias."},
    {"checkpoint", FIELD_STRING, .min = 1, .max = 63, .doc = "A checkpoint's name."},
    {"id", FIELD_STRING, .min = 1, .max = 79, .doc = "The id that its creation gave."},
    {0},
};

static const struct field *path_row(const char *name, size_t len)
{
    const struct field *row = path_rows;

    while (row->name && !(strlen(row->name) == len && strncmp(row->name, name, len) == 0))
        row++;
    return row->name ? row : NULL; /* NULL: the row is missing here, and openapi_make fails */
}

static json_t *parameter(const struct field *row, const char *in, bool required)
{
    json_t *const about = row ? with(one("name", text(row->name)), "in", text(in)) : NULL;

    return with(with(about, "required", json_boolean(required)), "schema",
                row ? schema_of(row) : NULL);
}

static json_t *add_parameters(json_t *list, const struct field *rows, const char *in)
{
    for (; rows && rows->name; rows++)
        list = push(list, parameter(rows, in, rows->flags & FIELD_REQUIRED));
    return list;
}

static json_t *parameters_of(const struct route *route)
{
    json_t *list = json_array();

    for (const char *at = route->path; (at = strchr(at, '{')) != NULL; at++)
        list = push(list, parameter(path_row(at + 1, strcspn(at + 1, "}")), "path", true));
    list = add_parameters(list, route->query, "query");
    list = add_parameters(list, route->request_headers, "header");
    if (route_creates(route))
        list = push(list, reference("parameters", "Idempotency-Key"));
    return push(push(list, reference("parameters", "X-Request-Id")),
                reference("parameters", "traceparent"));
}

static json_t *common_parameters(void)
{
    static const struct field rows[] = {
        {"X-Request-Id", FIELD_STRING, .min = 1, .max = LIMIT_REQUEST_ID_BYTES,
         .doc = "Comes back with the reply and is in the log; made up where there is none."},
        {"Idempotency-Key", FIELD_STRING, .min = 1, .max = LIMIT_IDEMPOTENCY_BYTES,
         .doc = "Visible ASCII: the same request with the same key creates once within 24 hours, "
                "and gets the same reply; another request with it is refused."},
        {"traceparent", FIELD_STRING, .doc = "W3C Trace Context; is in the log."},
    };
    json_t *all = json_object();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        all = with(all, rows[i].name, parameter(&rows[i], "header", false));
    return all;
}

/* --- bodies --- */

static json_t *content(media_set set, const struct shape *shape)
{
    json_t *all = json_object();

    for (int media = 0; media < MEDIA_COUNT; media++) {
        if (!(set & MEDIA(media)))
            continue;
        const bool json = media == MEDIA_JSON || media == MEDIA_MERGE;
        json_t *const body = !json   ? json_object()
                             : shape ? one("schema", reference("schemas", shape->name))
                                     : one("schema", typed("object"));
        all = with(all, media_type(media), body);
    }
    return all;
}

static json_t *with_request(json_t *operation, const struct route *route)
{
    const media_set takes = route_takes(route);

    if (!takes)
        return operation;
    return with(operation, "requestBody",
                with(one("required", json_true()), "content", content(takes, route->in)));
}

static json_t *add_headers(json_t *headers, const struct field *rows)
{
    for (; rows && rows->name; rows++)
        headers = with(headers, rows->name,
                       with(one("required", json_boolean(rows->flags & FIELD_REQUIRED)), "schema",
                            schema_of(rows)));
    return headers;
}

/* --- responses --- */

static const struct field location_rows[] = {
    {"Location", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "The path of what was created."},
    {0},
};

static json_t *status_text(int status)
{
    char key[16];

    snprintf(key, sizeof key, "%d", status);
    return text(key);
}

static json_t *set_status(json_t *responses, int status, json_t *response)
{
    json_t *const key = status_text(status);

    responses = with(responses, json_string_value(key), response);
    json_decref(key);
    return responses;
}

static const char *success_title(int status)
{
    return status == 201   ? "Created."
           : status == 202 ? "Accepted: it goes on."
           : status == 204 ? "Done."
           : status == 206 ? "A part."
           : status == 304 ? "The client has it."
                           : "The answer.";
}

static const char *const rate_limit[] = {"RateLimit-Limit", "RateLimit-Remaining",
                                         "RateLimit-Reset"};

static json_t *common_headers(void)
{
    json_t *headers = one("X-Request-Id", reference("headers", "X-Request-Id"));

    for (size_t i = 0; i < sizeof rate_limit / sizeof *rate_limit; i++)
        headers = with(headers, rate_limit[i], reference("headers", rate_limit[i]));
    return headers;
}

static json_t *success(const struct route *route, int status)
{
    json_t *headers = common_headers();
    json_t *response = one("description", text(success_title(status)));

    if (status == 201)
        headers = add_headers(headers, location_rows);
    headers = add_headers(headers, route->reply_headers);
    response = with(response, "headers", headers);
    if (status != 304 && route_gives(route))
        response = with(response, "content", content(route_gives(route), route->out));
    return response;
}

static json_t *headers_of_failure(int status)
{
    return add_headers(common_headers(), refusal_headers(status));
}

/* A problem document with one of these codes. */
static json_t *problem_of(json_t *codes)
{
    json_t *const schema =
        with(reference("schemas", "problem"), "properties", one("code", one("enum", codes)));

    return one(MEDIA_PROBLEM, one("schema", schema));
}

/* The rows of `failures` with that status. */
static size_t rows_of(uint64_t failures, int status, const struct fault *out[FAULT_END - DSC_EUSER])
{
    size_t count, found = 0;
    const struct fault *const row = fault_rows(&count);

    for (size_t i = 0; i < count; i++)
        if (row[i].code >= DSC_EUSER && row[i].status == status && (failures & CAN(row[i].code)))
            out[found++] = &row[i];
    return found;
}

/* A failing response and its name among the components: "409.in_use.builtin_protected". Many routes
 * share one. */
static json_t *failure(uint64_t failures, int status, char name[NAME_BYTES])
{
    const struct fault *row[FAULT_END - DSC_EUSER];
    const size_t count = rows_of(failures, status, row);
    json_t *codes = json_array();
    char about[1024] = "";
    size_t name_len, about_len = 0;

    name_len = (size_t)snprintf(name, NAME_BYTES, "%d", status);
    for (size_t i = 0; i < count; i++) {
        codes = push(codes, text(row[i]->word));
        name_len += (size_t)snprintf(name + name_len, NAME_BYTES - name_len, ".%s", row[i]->word);
        about_len += (size_t)snprintf(about + about_len, sizeof about - about_len, "%s%s.",
                                      i ? " " : "", row[i]->title);
        assert(name_len < NAME_BYTES && about_len < sizeof about);
    }
    if (count == 0) {
        json_decref(codes);
        return NULL;
    }
    return with(with(one("description", text(about)), "headers", headers_of_failure(status)),
                "content", problem_of(codes));
}

static json_t *add_failures(json_t *responses, uint64_t failures)
{
    char name[NAME_BYTES];

    for (int status = 400; status < 600; status++) {
        json_t *const response = failure(failures, status, name);
        if (response)
            responses = set_status(responses, status, reference("responses", name));
        json_decref(response);
    }
    return responses;
}

/* What add_failures refers to. */
static json_t *collect_failures(json_t *all, uint64_t failures)
{
    char name[NAME_BYTES];

    for (int status = 400; status < 600; status++) {
        json_t *const response = failure(failures, status, name);
        if (response)
            all = with(all, name, response);
    }
    return all;
}

static json_t *all_failures(void)
{
    json_t *all = collect_failures(json_object(), ROUTELESS);
    const struct route *route;

    for (size_t i = 0; (route = route_at(i)); i++)
        all = collect_failures(all, route_failures(route));
    return all;
}

static json_t *responses_of(const struct route *route)
{
    json_t *all = set_status(json_object(), route->status, success(route, route->status));

    for (int i = 0; i < ROUTE_ALSO_MAX; i++)
        if (route->also[i])
            all = set_status(all, route->also[i], success(route, route->also[i]));
    return add_failures(all, route_failures(route));
}

/* --- operations --- */

/* "POST" "/v1/sessions/{id}/update" -> "post_v1_sessions_id_update" */
static void name_operation(char out[128], const struct route *route)
{
    size_t n = 0;

    for (const char *c = route->method; *c; c++)
        out[n++] = (char)tolower((unsigned char)*c);
    for (const char *c = route->path; *c && n < 126; c++)
        if (isalnum((unsigned char)*c))
            out[n++] = *c;
        else if (out[n - 1] != '_' && *c != '}')
            out[n++] = '_';
    out[n] = '\0';
}

static json_t *security_of(const struct route *route)
{
    json_t *scopes = json_array();

    if (route->scope == SCOPE_NONE)
        return scopes;
    if (route->scope >= SCOPE_FIRST)
        scopes = push(scopes, text(scope_word(route->scope)));
    return push(json_array(), one("key", scopes));
}

/* The noun: "sessions" of /v1/sessions/{id}; "service" where there is none. */
static json_t *tags_of(const struct route *route)
{
    char noun[64] = "service";

    if (strncmp(route->path, "/v1/", 4) == 0)
        snprintf(noun, sizeof noun, "%.*s", (int)strcspn(route->path + 4, "/"), route->path + 4);
    return push(json_array(), text(noun));
}

static json_t *operation_of(const struct route *route)
{
    char id[128];
    json_t *operation;

    name_operation(id, route);
    operation = with(one("operationId", text(id)), "summary", text(route->summary));
    operation = with(operation, "tags", tags_of(route));
    operation = with(operation, "security", security_of(route));
    operation = with(operation, "parameters", parameters_of(route));
    operation = with_request(operation, route);
    return with(operation, "responses", responses_of(route));
}

static json_t *all_paths(void)
{
    json_t *paths = json_object();
    const struct route *route;

    for (size_t i = 0; (route = route_at(i)); i++) {
        char method[16];
        snprintf(method, sizeof method, "%s", route->method);
        for (char *c = method; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        json_t *const path = json_incref(json_object_get(paths, route->path));
        paths = with(paths, route->path,
                     with(path ? path : json_object(), method, operation_of(route)));
    }
    return paths;
}

/* --- the document --- */

static json_t *about(void)
{
    static const char words[] =
        "A server of learned optimizers: a client sends gradients and adds the updates that come "
        "back to its parameters. Every GET route answers HEAD as well. Where a key is required, "
        "Authorization is `Bearer` and the key; its scopes stand with each operation. A path or "
        "method that is not here is answered with components/responses/404.not_found or "
        "405.method_not_allowed.";

    return with(with(with(one("title", text("Descent")), "version", text(DESCENT_VERSION)),
                     "description", text(words)),
                "license", with(one("name", text("MIT")), "identifier", text("MIT")));
}

static json_t *components(void)
{
    static const struct field id[] = {
        {"X-Request-Id", FIELD_STRING, .flags = FIELD_REQUIRED, .min = 1,
         .max = LIMIT_REQUEST_ID_BYTES, .doc = "The request's, or made up."},
        {"RateLimit-Limit", FIELD_INT, .doc = "Requests a minute, where the key has a bound."},
        {"RateLimit-Remaining", FIELD_INT, .doc = "How many would be taken now."},
        {"RateLimit-Reset", FIELD_INT, .doc = "Seconds until all of them would be."},
        {0},
    };
    json_t *all = one("schemas", all_schemas());

    all = with(all, "parameters", common_parameters());
    all = with(all, "headers", add_headers(json_object(), id));
    all = with(all, "responses", all_failures());
    return with(all, "securitySchemes",
                one("key", with(one("type", text("http")), "scheme", text("bearer"))));
}

static int append(const char *bytes, size_t len, void *out)
{
    return buf_append(out, bytes, len) ? 0 : -1;
}

bool openapi_make(struct buf **out, dsc_err *err)
{
    json_t *document = with(one("openapi", text("3.1.0")), "info", about());
    struct buf *body = buf_new(1 << 16);
    bool ok;

    document = with(with(document, "paths", all_paths()), "components", components());
    ok =
        body && document &&
        json_dump_callback(document, append, body, JSON_INDENT(1) | JSON_REAL_PRECISION(15)) == 0 &&
        buf_append(body, "\n", 1);
    json_decref(document);
    if (ok)
        *out = body;
    else
        buf_drop(body);
    return ok || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the API's description");
}
