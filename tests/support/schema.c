#include "schema.h"
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One value and the schema it is held to. */
struct held {
    const json_t *root, *schema, *value;
    const char *name; /* of the member it is, or "" */
    char *why;        /* [SCHEMA_WHY_BYTES] */
};

static bool __attribute__((format(printf, 2, 3)))
fails(const struct held *held, const char *fmt, ...)
{
    char what[160];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    snprintf(held->why, SCHEMA_WHY_BYTES, "%s%s%s", held->name, held->name[0] ? ": " : "", what);
    return false;
}

static bool fits(struct held held);

static bool fits_as(const struct held *held, const json_t *schema, const json_t *value,
                    const char *name)
{
    return fits((struct held) {held->root, schema, value, name, held->why});
}

const json_t *schema_follow(const json_t *root, const json_t *node)
{
    const char *const path = json_string_value(json_object_get(node, "$ref"));
    char part[256];

    if (!path)
        return node;
    node = strncmp(path, "#/", 2) == 0 ? root : NULL;
    for (const char *at = path + 2; node && *at; at += strlen(part), at += *at == '/') {
        snprintf(part, sizeof part, "%.*s", (int)strcspn(at, "/"), at);
        node = json_object_get(node, part);
    }
    return node;
}

/* --- one keyword each --- */

typedef bool keyword(const struct held *held, const json_t *limit);

static bool is_type(const char *type, const json_t *value)
{
    return strcmp(type, "object") == 0    ? json_is_object(value)
           : strcmp(type, "array") == 0   ? json_is_array(value)
           : strcmp(type, "string") == 0  ? json_is_string(value)
           : strcmp(type, "integer") == 0 ? json_is_integer(value)
           : strcmp(type, "number") == 0  ? json_is_number(value)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
           : strcmp(type, "null") == 0    ? json_is_null(value)
                                          : false;
}

static bool check_type(const struct held *held, const json_t *limit)
{
    const json_t *one;
    size_t i;

    if (json_is_string(limit))
        return is_type(json_string_value(limit), held->value) ||
               fails(held, "is no %s", json_string_value(limit));
    json_array_foreach(limit, i, one)
    {
        if (is_type(json_string_value(one), held->value))
            return true;
    }
    return fails(held, "has none of the types");
}

static bool check_enum(const struct held *held, const json_t *limit)
{
    const json_t *one;
    size_t i;

    json_array_foreach(limit, i, one)
    {
        if (json_equal(one, held->value))
            return true;
    }
    return fails(held, "\"%.60s\" is none of the words",
                 json_is_string(held->value) ? json_string_value(held->value) : "(no text)");
}

static bool check_minimum(const struct held *held, const json_t *limit)
{
    return !json_is_number(held->value) ||
           json_number_value(held->value) >= json_number_value(limit) ||
           fails(held, "is below %g", json_number_value(limit));
}

static bool check_above(const struct held *held, const json_t *limit)
{
    return !json_is_number(held->value) ||
           json_number_value(held->value) > json_number_value(limit) ||
           fails(held, "is not above %g", json_number_value(limit));
}

static bool check_maximum(const struct held *held, const json_t *limit)
{
    return !json_is_number(held->value) ||
           json_number_value(held->value) <= json_number_value(limit) ||
           fails(held, "is above %g", json_number_value(limit));
}

/* Characters, not bytes. */
static size_t length(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool check_min_length(const struct held *held, const json_t *limit)
{
    return !json_is_string(held->value) ||
           (json_int_t)length(json_string_value(held->value)) >= json_integer_value(limit) ||
           fails(held, "is too short");
}

static bool check_max_length(const struct held *held, const json_t *limit)
{
    return !json_is_string(held->value) ||
           (json_int_t)length(json_string_value(held->value)) <= json_integer_value(limit) ||
           fails(held, "is too long");
}

static bool check_format(const struct held *held, const json_t *limit)
{
    static const char time[] =
        "^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]+)?Z$";
    regex_t regex;

    if (strcmp(json_string_value(limit), "date-time") != 0)
        return fails(held, "has the unknown format %s", json_string_value(limit));
    if (!json_is_string(held->value))
        return true;
    if (regcomp(&regex, time, REG_EXTENDED | REG_NOSUB) != 0)
        return fails(held, "no memory");
    const bool ok = regexec(&regex, json_string_value(held->value), 0, NULL, 0) == 0;
    regfree(&regex);
    return ok || fails(held, "\"%.40s\" is no time", json_string_value(held->value));
}

static bool check_items(const struct held *held, const json_t *limit)
{
    const json_t *item;
    size_t i;

    json_array_foreach(held->value, i, item)
    {
        if (!fits_as(held, limit, item, held->name))
            return false;
    }
    return true;
}

static bool check_min_items(const struct held *held, const json_t *limit)
{
    return !json_is_array(held->value) ||
           (json_int_t)json_array_size(held->value) >= json_integer_value(limit) ||
           fails(held, "has too few items");
}

static bool check_max_items(const struct held *held, const json_t *limit)
{
    return !json_is_array(held->value) ||
           (json_int_t)json_array_size(held->value) <= json_integer_value(limit) ||
           fails(held, "has too many items");
}

static bool check_unique(const struct held *held, const json_t *limit)
{
    const size_t count = json_is_true(limit) ? json_array_size(held->value) : 0;

    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (json_equal(json_array_get(held->value, i), json_array_get(held->value, k)))
                return fails(held, "has an item twice");
    return true;
}

static bool check_properties(const struct held *held, const json_t *limit)
{
    const char *key;
    json_t *schema;

    json_object_foreach((json_t *)limit, key, schema)
    {
        const json_t *const value = json_object_get(held->value, key);
        if (value && !fits_as(held, schema, value, key))
            return false;
    }
    return true;
}

static bool check_required(const struct held *held, const json_t *limit)
{
    const json_t *name;
    size_t i;

    json_array_foreach(limit, i, name)
    {
        if (json_is_object(held->value) && !json_object_get(held->value, json_string_value(name)))
            return fails(held, "lacks %s", json_string_value(name));
    }
    return true;
}

static bool check_further(const struct held *held, const json_t *limit)
{
    const json_t *const properties = json_object_get(held->schema, "properties");
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)held->value, key, value)
    {
        if (json_object_get(properties, key))
            continue;
        if (json_is_false(limit))
            return fails(held, "has a member %s that is not described", key);
        if (json_is_object(limit) && !fits_as(held, limit, value, key))
            return false;
    }
    return true;
}

static bool check_max_properties(const struct held *held, const json_t *limit)
{
    return (json_int_t)json_object_size(held->value) <= json_integer_value(limit) ||
           fails(held, "has too many members");
}

static size_t count_fitting(const struct held *held, const json_t *limit)
{
    const json_t *one;
    size_t i, count = 0;

    json_array_foreach(limit, i, one) count += fits_as(held, one, held->value, held->name);
    return count;
}

static bool check_any_of(const struct held *held, const json_t *limit)
{
    return count_fitting(held, limit) > 0 || fails(held, "fits no branch");
}

static bool check_one_of(const struct held *held, const json_t *limit)
{
    return count_fitting(held, limit) == 1 || fails(held, "does not fit exactly one branch");
}

static bool check_reference(const struct held *held, const json_t *limit)
{
    const json_t *const schema = schema_follow(held->root, held->schema);

    if (!schema)
        return fails(held, "%s leads nowhere", json_string_value(limit));
    return fits_as(held, schema, held->value, held->name);
}

static bool check_nothing(const struct held *held, const json_t *limit)
{
    (void)held, (void)limit;
    return true;
}

static const struct {
    const char *name;
    keyword *check;
} keywords[] = {
    {"$ref", check_reference},
    {"type", check_type},
    {"enum", check_enum},
    {"minimum", check_minimum},
    {"exclusiveMinimum", check_above},
    {"maximum", check_maximum},
    {"minLength", check_min_length},
    {"maxLength", check_max_length},
    {"format", check_format},
    {"items", check_items},
    {"minItems", check_min_items},
    {"maxItems", check_max_items},
    {"uniqueItems", check_unique},
    {"properties", check_properties},
    {"required", check_required},
    {"additionalProperties", check_further},
    {"maxProperties", check_max_properties},
    {"anyOf", check_any_of},
    {"oneOf", check_one_of},
    {"title", check_nothing},
    {"description", check_nothing},
    {"default", check_nothing},
};

/* --- a whole schema --- */

static keyword *find_keyword(const char *name)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (strcmp(keywords[i].name, name) == 0)
            return keywords[i].check;
    return NULL;
}

static bool fits(struct held held)
{
    const char *name;
    json_t *limit;

    json_object_foreach((json_t *)held.schema, name, limit)
    {
        keyword *const check = find_keyword(name);
        if (!check)
            return fails(&held, "is held to the unknown keyword %s", name);
        if (!check(&held, limit))
            return false;
    }
    if (json_object_get(held.schema, "properties") && json_object_get(held.schema, "type") &&
        !json_object_get(held.schema, "additionalProperties"))
        return check_further(&held, json_false());
    return true;
}

bool schema_fits(const json_t *root, const json_t *schema, const json_t *value,
                 char why[SCHEMA_WHY_BYTES])
{
    why[0] = '\0';
    return fits((struct held) {root, schema, value, "", why});
}
