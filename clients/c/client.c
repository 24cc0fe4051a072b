#define _GNU_SOURCE
#include "client.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

descent_client *descent_client_new(const descent_options *options, descent_error *err)
{
    descent_client *const client = calloc(1, sizeof *client);

    if (!client) {
        (void)client_fail(err, "out_of_memory", "no memory for a client");
        return NULL;
    }
    client->transport = transport_new(options, err);
    if (client->transport)
        return client;
    free(client);
    return NULL;
}

void descent_client_free(descent_client *client)
{
    if (client)
        transport_free(client->transport);
    free(client);
}

static void put_segment(FILE *out, const char *text)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-._~", *text))
            (void)fputc(*text, out);
        else
            (void)fprintf(out, "%%%02X", (unsigned)(unsigned char)*text);
}

char *client_path(descent_error *err, const char *fmt, ...)
{
    char *path = NULL;
    size_t size = 0;
    FILE *const out = open_memstream(&path, &size);
    va_list args;

    if (!out) {
        (void)client_fail(err, "out_of_memory", "no memory for a path");
        return NULL;
    }
    va_start(args, fmt);
    for (; *fmt; fmt++)
        if (fmt[0] == '%' && fmt[1] == 's') {
            put_segment(out, va_arg(args, const char *));
            fmt++;
        } else {
            (void)fputc(*fmt, out);
        }
    va_end(args);
    if (fclose(out) == 0)
        return path;
    free(path);
    (void)client_fail(err, "out_of_memory", "no memory for a path");
    return NULL;
}

static bool parse(const struct answer *answer, json_t **reply, descent_error *err)
{
    json_error_t why;

    *reply = NULL;
    if (answer->bytes == 0)
        return true;
    *reply = json_loadb(answer->body, answer->bytes, 0, &why);
    return *reply || client_fail(err, "invalid_answer", "the answer is no JSON: %s", why.text);
}

static bool send_text(descent_client *client, const char *method, const char *path,
                      const char *text, bool creates, struct answer *answer, descent_error *err)
{
    const struct call call = {
        .method = method,
        .path = path,
        .content_type = !text                          ? NULL
                        : strcmp(method, "PATCH") == 0 ? "application/merge-patch+json"
                                                       : "application/json",
        .body = text,
        .body_bytes = text ? strlen(text) : 0,
        .creates = creates,
    };

    return transport_send(client->transport, &call, answer, err);
}

bool client_call(descent_client *client, const char *method, const char *path, const json_t *body,
                 bool creates, json_t **reply, descent_error *err)
{
    struct answer answer = {0};
    char *const text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    if (body && !text)
        return client_fail(err, "out_of_memory", "no memory for a request");
    bool ok = send_text(client, method, path, text, creates, &answer, err);

    if (ok && reply)
        ok = parse(&answer, reply, err);
    free(text);
    free(answer.body);
    return ok;
}

bool descent_call(descent_client *client, const char *method, const char *path,
                  const char *body_json, bool creates, char **reply_json, descent_error *err)
{
    struct answer answer = {0};

    if (!send_text(client, method, path, body_json, creates, &answer, err))
        return false;
    if (reply_json)
        *reply_json = answer.body ? answer.body : strdup("");
    else
        free(answer.body);
    return true;
}

bool client_member_u64(const json_t *object, const char *name, uint64_t *out, descent_error *err)
{
    const json_t *const value = json_object_get(object, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return client_fail(err, "invalid_answer", "the answer has no number %s", name);
    *out = (uint64_t)json_integer_value(value);
    return true;
}

bool client_member_text(const json_t *object, const char *name, const char **out,
                        descent_error *err)
{
    *out = json_string_value(json_object_get(object, name));
    return *out || client_fail(err, "invalid_answer", "the answer has no text %s", name);
}

/* --- lists --- */

static bool walk(const json_t *items, descent_item *item, void *user, descent_error *err)
{
    size_t i;
    const json_t *value;

    json_array_foreach(items, i, value)
    {
        char *const text = json_dumps(value, JSON_COMPACT);
        const bool on = text && item(user, text);

        free(text);
        if (!text)
            return client_fail(err, "out_of_memory", "no memory for an item");
        if (!on)
            return client_fail(err, "stopped", "the callback ended the walk");
    }
    return true;
}

bool descent_list(descent_client *client, const char *path, descent_item *item, void *user,
                  descent_error *err)
{
    char *url = NULL;
    bool ok = asprintf(&url, "%s?page_size=1000", path) >= 0;

    if (!ok)
        return client_fail(err, "out_of_memory", "no memory for a path");
    while (ok && url) {
        json_t *page = NULL;
        const char *token = NULL;

        ok = client_call(client, "GET", url, NULL, false, &page, err) &&
             walk(json_object_get(page, "items"), item, user, err) &&
             client_member_text(page, "next_page_token", &token, err);
        free(url);
        url = NULL;
        if (ok && *token && asprintf(&url, "%s?page_size=1000&page_token=%s", path, token) < 0)
            ok = client_fail(err, "out_of_memory", "no memory for a path");
        json_decref(page);
    }
    free(url);
    return ok;
}

/* --- optimizers --- */

bool descent_optimizer_create(descent_client *client, const char *name, const char *family,
                              const char *config_json, char **info_json, descent_error *err)
{
    json_error_t why;
    json_t *const config = config_json ? json_loads(config_json, 0, &why) : NULL;

    if (config_json && !config)
        return client_fail(err, "invalid_argument", "the config is no JSON: %s", why.text);
    json_t *const body =
        json_pack("{s:s, s:s, s:o*}", "name", name, "family", family, "config", config);

    if (!body)
        return client_fail(err, "invalid_argument", "the name or the family is no UTF-8");
    char *const text = json_dumps(body, JSON_COMPACT);
    const bool ok = text
                        ? descent_call(client, "POST", "/v1/optimizers", text, true, info_json, err)
                        : client_fail(err, "out_of_memory", "no memory for a request");

    free(text);
    json_decref(body);
    return ok;
}

bool descent_optimizer_upload(descent_client *client, const char *name, const void *bytes,
                              size_t len, int64_t *version, descent_error *err)
{
    char *const path = client_path(err, "/v1/optimizers/%s/versions", name);
    struct answer answer = {0};
    json_t *reply = NULL;
    uint64_t number = 0;
    const struct call call = {.method = "POST",
                              .path = path,
                              .content_type = "application/x-safetensors",
                              .body = bytes,
                              .body_bytes = len,
                              .creates = true};
    const bool ok = path && transport_send(client->transport, &call, &answer, err) &&
                    parse(&answer, &reply, err) &&
                    client_member_u64(reply, "version", &number, err);

    if (ok && version)
        *version = (int64_t)number;
    json_decref(reply);
    free(answer.body);
    free(path);
    return ok;
}

bool descent_optimizer_download(descent_client *client, const char *name, int64_t version,
                                void **bytes, size_t *len, descent_error *err)
{
    char number[24];

    (void)snprintf(number, sizeof number, "%lld", (long long)version);
    char *const path = client_path(err, "/v1/optimizers/%s/versions/%s/weights", name, number);
    const struct call call = {.method = "GET", .path = path};
    struct answer answer = {0};
    const bool ok = path && transport_send(client->transport, &call, &answer, err);

    free(path);
    if (ok) {
        *bytes = answer.body;
        *len = answer.bytes;
    }
    return ok;
}
