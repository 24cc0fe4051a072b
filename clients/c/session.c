#define _GNU_SOURCE
#include "client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct descent_session {
    descent_client *client;
    char *id, *path;
    size_t coordinates;
    uint64_t step;
    bool replayed;
};

static bool take_step(descent_session *session, const json_t *info, descent_error *err)
{
    session->replayed = false;
    return client_member_u64(info, "step", &session->step, err);
}

/* Steals info. */
static descent_session *session_of(descent_client *client, json_t *info, descent_error *err)
{
    descent_session *const session = calloc(1, sizeof *session);
    const char *id = NULL;
    uint64_t n = 0;
    bool ok = session ? client_member_text(info, "id", &id, err) &&
                            client_member_u64(info, "coordinates", &n, err) &&
                            take_step(session, info, err)
                      : client_fail(err, "out_of_memory", "no memory for a session");

    if (ok) {
        session->client = client;
        session->coordinates = (size_t)n;
        session->id = strdup(id);
        session->path = client_path(err, "/v1/sessions/%s", id);
        ok = session->path &&
             (session->id || client_fail(err, "out_of_memory", "no memory for a session"));
    }
    json_decref(info);
    if (ok)
        return session;
    descent_session_free(session);
    return NULL;
}

void descent_session_free(descent_session *session)
{
    if (!session)
        return;
    free(session->id);
    free(session->path);
    free(session);
}

/* Steals body. */
static descent_session *create(descent_client *client, const char *path, json_t *body,
                               descent_error *err)
{
    json_t *info = NULL;
    const bool ok = client_call(client, "POST", path, body, true, &info, err);

    json_decref(body);
    return ok ? session_of(client, info, err) : NULL;
}

descent_session *descent_session_create(descent_client *client, const char *optimizer,
                                        const char *settings_json, descent_error *err)
{
    json_error_t why;
    json_t *const body = json_loads(settings_json, 0, &why);

    if (json_is_object(body) && json_object_set_new(body, "optimizer", json_string(optimizer)) == 0)
        return create(client, "/v1/sessions", body, err);
    (void)client_fail(err, "invalid_argument", "the settings are no JSON object: %s",
                      body ? "another kind" : why.text);
    json_decref(body);
    return NULL;
}

descent_session *descent_session_resume(descent_client *client, const char *id, descent_error *err)
{
    char *const path = client_path(err, "/v1/sessions/%s", id);
    json_t *info = NULL;
    const bool ok = path && client_call(client, "GET", path, NULL, false, &info, err);

    free(path);
    return ok ? session_of(client, info, err) : NULL;
}

const char *descent_session_id(const descent_session *session)
{
    return session->id;
}

size_t descent_session_coordinates(const descent_session *session)
{
    return session->coordinates;
}

uint64_t descent_session_step(const descent_session *session)
{
    return session->step;
}

void descent_session_set_step(descent_session *session, uint64_t step)
{
    session->step = step;
}

bool descent_session_replayed(const descent_session *session)
{
    return session->replayed;
}

/* session->path and a tail that needs no encoding; the caller's. */
static char *below(const descent_session *session, const char *tail, descent_error *err)
{
    char *path = NULL;

    if (asprintf(&path, "%s%s", session->path, tail) >= 0)
        return path;
    (void)client_fail(err, "out_of_memory", "no memory for a path");
    return NULL;
}

/* Little-endian on the wire; this library is for little-endian machines. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is little-endian");

bool descent_session_update(descent_session *session, const float *gradient, double loss,
                            float *update, descent_error *err)
{
    const size_t bytes = session->coordinates * sizeof(float);
    char *const path = below(session, "/update", err);
    const struct call call = {.method = "POST",
                              .path = path,
                              .content_type = "application/octet-stream",
                              .body = gradient,
                              .body_bytes = bytes,
                              .stepped = true,
                              .step = session->step,
                              .loss = loss,
                              .into = update,
                              .into_bytes = bytes};
    struct answer answer = {0};
    bool ok = path && transport_send(session->client->transport, &call, &answer, err);

    if (ok && (answer.body || answer.bytes != bytes || !answer.has_step))
        ok = client_fail(err, "invalid_answer", "the answer is no update of %zu bytes", bytes);
    if (ok) {
        session->step = answer.step;
        session->replayed = answer.replayed;
    }
    free(answer.body);
    free(path);
    return ok;
}

bool descent_session_info(descent_session *session, char **info_json, descent_error *err)
{
    return descent_call(session->client, "GET", session->path, NULL, false, info_json, err);
}

/* POST to the session and take the step it is at then. Steals body, which may be NULL. */
static bool go(descent_session *session, const char *tail, json_t *body, descent_error *err)
{
    char *const path = below(session, tail, err);
    json_t *info = NULL;
    const bool ok = path && client_call(session->client, "POST", path, body, false, &info, err) &&
                    take_step(session, info, err);

    json_decref(info);
    json_decref(body);
    free(path);
    return ok;
}

bool descent_session_reset(descent_session *session, descent_error *err)
{
    return go(session, "/reset", NULL, err);
}

bool descent_session_restore(descent_session *session, const char *checkpoint, descent_error *err)
{
    json_t *const body = json_pack("{s:s}", "checkpoint", checkpoint);

    return body ? go(session, "/restore", body, err)
                : client_fail(err, "invalid_argument", "the checkpoint's name is no UTF-8");
}

bool descent_session_checkpoint(descent_session *session, const char *name, descent_error *err)
{
    char *const path = below(session, "/checkpoints", err);
    json_t *const body = json_pack("{s:s}", "name", name);
    const bool ok = path &&
                    (body || client_fail(err, "invalid_argument", "the name is no UTF-8")) &&
                    client_call(session->client, "POST", path, body, true, NULL, err);

    json_decref(body);
    free(path);
    return ok;
}

bool descent_session_delete_checkpoint(descent_session *session, const char *name,
                                       descent_error *err)
{
    char *const path = client_path(err, "/v1/sessions/%s/checkpoints/%s", session->id, name);
    const bool ok = path && client_call(session->client, "DELETE", path, NULL, false, NULL, err);

    free(path);
    return ok;
}

descent_session *descent_session_fork(descent_session *session, const char *checkpoint,
                                      descent_error *err)
{
    char *const path = below(session, "/fork", err);
    json_t *const body = json_pack("{s:s*}", "checkpoint", checkpoint);
    descent_session *made = NULL;

    if (path && body)
        made = create(session->client, path, json_incref(body), err);
    else if (path)
        (void)client_fail(err, "invalid_argument", "the checkpoint's name is no UTF-8");
    json_decref(body);
    free(path);
    return made;
}

bool descent_session_state(descent_session *session, void **bytes, size_t *len, descent_error *err)
{
    char *const path = below(session, "/state", err);
    const struct call call = {.method = "GET", .path = path};
    struct answer answer = {0};
    const bool ok = path && transport_send(session->client->transport, &call, &answer, err);

    free(path);
    if (ok) {
        *bytes = answer.body;
        *len = answer.bytes;
    }
    return ok;
}

static bool take_info(descent_session *session, descent_error *err)
{
    json_t *info = NULL;
    const bool ok = client_call(session->client, "GET", session->path, NULL, false, &info, err) &&
                    take_step(session, info, err);

    json_decref(info);
    return ok;
}

bool descent_session_load_state(descent_session *session, const void *bytes, size_t len,
                                descent_error *err)
{
    char *const path = below(session, "/state", err);
    const struct call call = {.method = "PUT",
                              .path = path,
                              .content_type = "application/x-safetensors",
                              .body = bytes,
                              .body_bytes = len};
    struct answer answer = {0};
    const bool ok = path && transport_send(session->client->transport, &call, &answer, err) &&
                    take_info(session, err);

    free(answer.body);
    free(path);
    return ok;
}

bool descent_session_delete(descent_session *session, descent_error *err)
{
    return client_call(session->client, "DELETE", session->path, NULL, false, NULL, err);
}
