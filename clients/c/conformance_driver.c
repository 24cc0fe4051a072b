/* conformance_driver.c -- JSON commands in, JSON answers out (see ../conformance/README.md) */
#define _GNU_SOURCE
#include "descent_client.h"
#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver {
    descent_client *client;
    descent_session *session;
};

typedef json_t *operation(struct driver *driver, const json_t *command, descent_error *err);

static const char *text(const json_t *command, const char *name)
{
    return json_string_value(json_object_get(command, name));
}

static json_t *at(const struct driver *driver)
{
    return json_pack("{s:s, s:I, s:I}", "session", descent_session_id(driver->session), "step",
                     (json_int_t)descent_session_step(driver->session), "coordinates",
                     (json_int_t)descent_session_coordinates(driver->session));
}

/* Go on with another session. */
static json_t *take(struct driver *driver, descent_session *session)
{
    if (!session)
        return NULL;
    descent_session_free(driver->session);
    driver->session = session;
    return at(driver);
}

static json_t *do_create(struct driver *driver, const json_t *command, descent_error *err)
{
    json_t *const settings = json_deep_copy(json_object_get(command, "settings"));
    char *const optimizer = strdup(text(settings, "optimizer"));

    json_object_del(settings, "optimizer");
    char *const rest = json_dumps(settings, 0);
    json_t *const answer =
        take(driver, descent_session_create(driver->client, optimizer, rest, err));

    free(rest);
    free(optimizer);
    json_decref(settings);
    return answer;
}

static json_t *do_resume(struct driver *driver, const json_t *command, descent_error *err)
{
    (void)command;
    return take(driver,
                descent_session_resume(driver->client, descent_session_id(driver->session), err));
}

static json_t *words(const float *update, size_t n)
{
    json_t *const list = json_array();

    for (size_t i = 0; i < n; i++) {
        unsigned bits;
        char word[9];

        memcpy(&bits, &update[i], sizeof bits);
        (void)snprintf(word, sizeof word, "%08x", bits);
        json_array_append_new(list, json_string(word));
    }
    return list;
}

static json_t *do_update(struct driver *driver, const json_t *command, descent_error *err)
{
    const json_t *const gradient = json_object_get(command, "gradient");
    const json_t *const step = json_object_get(command, "step");
    const json_t *const loss = json_object_get(command, "loss");
    const size_t n = json_array_size(gradient);
    float *const grad = calloc(n, sizeof *grad), *const update = calloc(n, sizeof *update);
    json_t *answer = NULL;

    for (size_t i = 0; i < n; i++) {
        const unsigned bits =
            (unsigned)strtoul(json_string_value(json_array_get(gradient, i)), NULL, 16);

        memcpy(&grad[i], &bits, sizeof bits);
    }
    if (step)
        descent_session_set_step(driver->session, (uint64_t)json_integer_value(step));
    if (descent_session_update(driver->session, grad, loss ? json_number_value(loss) : NAN, update,
                               err))
        answer = json_pack("{s:o, s:I, s:b}", "update", words(update, n), "step",
                           (json_int_t)descent_session_step(driver->session), "replayed",
                           (int)descent_session_replayed(driver->session));
    free(grad);
    free(update);
    return answer;
}

static json_t *do_reset(struct driver *driver, const json_t *command, descent_error *err)
{
    (void)command;
    return descent_session_reset(driver->session, err) ? at(driver) : NULL;
}

static json_t *do_checkpoint(struct driver *driver, const json_t *command, descent_error *err)
{
    return descent_session_checkpoint(driver->session, text(command, "name"), err) ? json_object()
                                                                                   : NULL;
}

static json_t *do_restore(struct driver *driver, const json_t *command, descent_error *err)
{
    return descent_session_restore(driver->session, text(command, "checkpoint"), err) ? at(driver)
                                                                                      : NULL;
}

static json_t *do_fork(struct driver *driver, const json_t *command, descent_error *err)
{
    return take(driver, descent_session_fork(driver->session, text(command, "checkpoint"), err));
}

static json_t *do_delete(struct driver *driver, const json_t *command, descent_error *err)
{
    (void)command;
    return descent_session_delete(driver->session, err) ? json_object() : NULL;
}

static json_t *do_create_optimizer(struct driver *driver, const json_t *command, descent_error *err)
{
    const json_t *const config = json_object_get(command, "config");
    char *const config_json = config ? json_dumps(config, 0) : NULL;
    char *info = NULL;
    json_t *answer = NULL;

    if (descent_optimizer_create(driver->client, text(command, "name"), text(command, "family"),
                                 config_json, &info, err))
        answer = json_loads(info, 0, NULL);
    free(info);
    free(config_json);
    return answer;
}

static bool add_name(void *user, const char *item_json)
{
    json_t *const item = json_loads(item_json, 0, NULL);

    json_array_append(user, json_object_get(item, "name"));
    json_decref(item);
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

static json_t *sorted(json_t *list)
{
    const size_t n = json_array_size(list);
    json_t **const item = calloc(n ? n : 1, sizeof(json_t *));
    json_t *const out = json_array();

    for (size_t i = 0; i < n; i++)
        item[i] = json_array_get(list, i);
    qsort(item, n, sizeof(json_t *), by_text);
    for (size_t i = 0; i < n; i++)
        json_array_append(out, item[i]);
    free(item);
    json_decref(list);
    return out;
}

static json_t *do_optimizers(struct driver *driver, const json_t *command, descent_error *err)
{
    json_t *const names = json_array();

    (void)command;
    if (descent_list(driver->client, "/v1/optimizers", add_name, names, err))
        return json_pack("{s:o}", "names", sorted(names));
    json_decref(names);
    return NULL;
}

/* The file that a command brings as base64; the caller's. */
static unsigned char *decode(const char *base64, size_t *len)
{
    const size_t room = strlen(base64);
    unsigned char *const out = malloc(room + 1);

    if (sodium_base642bin(out, room, base64, room, NULL, len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        abort();
    return out;
}

static json_t *do_upload(struct driver *driver, const json_t *command, descent_error *err)
{
    size_t len = 0;
    int64_t version = 0;
    unsigned char *const bytes = decode(text(command, "file"), &len);
    const bool ok =
        descent_optimizer_upload(driver->client, text(command, "name"), bytes, len, &version, err);

    free(bytes);
    return ok ? json_pack("{s:I}", "version", (json_int_t)version) : NULL;
}

static json_t *sha256(const void *bytes, size_t len)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char text[2 * sizeof hash + 1];

    crypto_hash_sha256(hash, bytes, len);
    return json_pack("{s:s}", "sha256", sodium_bin2hex(text, sizeof text, hash, sizeof hash));
}

static json_t *do_download(struct driver *driver, const json_t *command, descent_error *err)
{
    void *bytes = NULL;
    size_t len = 0;
    const int64_t version = json_integer_value(json_object_get(command, "version"));

    if (!descent_optimizer_download(driver->client, text(command, "name"), version, &bytes, &len,
                                    err))
        return NULL;
    json_t *const answer = sha256(bytes, len);

    free(bytes);
    return answer;
}

struct kinds {
    char first[32], last[32];
};

static bool note(void *user, const char *id, const char *kind, const char *data_json)
{
    struct kinds *const kinds = user;

    (void)id, (void)data_json;
    if (!kinds->first[0])
        (void)snprintf(kinds->first, sizeof kinds->first, "%s", kind);
    (void)snprintf(kinds->last, sizeof kinds->last, "%s", kind);
    return true;
}

static json_t *job_info(struct driver *driver, const char *id, descent_error *err)
{
    char path[256], *reply = NULL;
    json_t *info = NULL;

    (void)snprintf(path, sizeof path, "/v1/jobs/%s", id);
    if (descent_call(driver->client, "GET", path, NULL, false, &reply, err))
        info = json_loads(reply, 0, NULL);
    free(reply);
    return info;
}

static json_t *do_run_job(struct driver *driver, const json_t *command, descent_error *err)
{
    char *const spec = json_dumps(json_object_get(command, "spec"), 0), *id = NULL;
    struct kinds kinds = {"", ""};
    json_t *answer = NULL;

    if (descent_job_submit(driver->client, spec, &id, err) &&
        descent_job_events(driver->client, id, NULL, note, &kinds, err) &&
        (answer = job_info(driver, id, err))) {
        json_object_set_new(answer, "first", json_string(kinds.first));
        json_object_set_new(answer, "last", json_string(kinds.last));
    }
    free(id);
    free(spec);
    return answer;
}

static const struct {
    const char *name;
    operation *run;
} operations[] = {
    {"create", do_create},
    {"resume", do_resume},
    {"update", do_update},
    {"reset", do_reset},
    {"checkpoint", do_checkpoint},
    {"restore", do_restore},
    {"fork", do_fork},
    {"delete", do_delete},
    {"create_optimizer", do_create_optimizer},
    {"optimizers", do_optimizers},
    {"upload", do_upload},
    {"download", do_download},
    {"run_job", do_run_job},
};

static json_t *obey(struct driver *driver, const json_t *command)
{
    descent_error err = {0};

    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (strcmp(operations[i].name, text(command, "op")) == 0) {
            json_t *const answer = operations[i].run(driver, command, &err);

            return answer ? answer
                          : json_pack("{s:s, s:i}", "error", err.code, "status", err.status);
        }
    return json_pack("{s:s}", "error", "unknown operation");
}

int main(void)
{
    descent_error err = {0};
    struct driver driver = {.client = descent_client_new(NULL, &err)};
    char *line = NULL;
    size_t size = 0;

    if (!driver.client) {
        (void)fprintf(stderr, "%s\n", err.detail);
        return 1;
    }
    while (getline(&line, &size, stdin) > 0) {
        json_t *const command = json_loads(line, 0, NULL);
        json_t *const answer = obey(&driver, command);
        char *const out = json_dumps(answer, JSON_COMPACT);

        (void)puts(out);
        (void)fflush(stdout);
        free(out);
        json_decref(answer);
        json_decref(command);
    }
    free(line);
    descent_session_free(driver.session);
    descent_client_free(driver.client);
    return 0;
}
