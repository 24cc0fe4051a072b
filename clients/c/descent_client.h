/* descent_client.h -- a client for Descent, the server of learned optimizers, over libcurl
 *
 *     descent_error err;
 *     descent_client *client = descent_client_new(NULL, &err);
 *     descent_session *session = descent_session_create(client, "adam", "{\"coordinates\": 10}",
 * &err); while (...) { if (!descent_session_update(session, gradient, NAN, update, &err)) ... for
 * (i = 0; i < 10; i++) theta[i] += update[i];
 *     }
 *
 * Every request may be sent twice: an update carries its step number, a POST that creates an
 * Idempotency-Key, the rest changes nothing more the second time. So a lost connection, an answer
 * that does not come in time and a 429 or 503 lead to another try, after a pause that doubles and
 * is never the same for two clients.
 *
 * A client and what was made from it belong to one thread at a time. Text that is handed in is
 * JSON where its name ends with _json; text that is handed out is the caller's to free(). Call
 * curl_global_init before threads are started, as libcurl asks. */
#ifndef DESCENT_CLIENT_H
#define DESCENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What went wrong. Decide by `code`, one of the server's constants such as "step_gap", or one of
 * this library's own (status 0): "connection_failed", "invalid_argument", "out_of_memory",
 * "invalid_answer", "job_failed", "stopped". The sentence is for people. */
typedef struct descent_error {
    int status; /* HTTP; 0 when the server refused nothing */
    bool retryable;
    char code[64];
    char detail[512];
    char request_id[129];
} descent_error;

typedef struct descent_options {
    const char *url; /* NULL: DESCENT_URL, else http://127.0.0.1:8080 */
    const char *key; /* NULL: DESCENT_API_KEY, else what the file DESCENT_API_KEY_FILE holds */
    double timeout_seconds; /* of one try; 0: DESCENT_TIMEOUT_SECONDS, else 60 */
    int attempts;           /* how often one request is tried; 0: 8 */
} descent_options;

typedef struct descent_client descent_client;
typedef struct descent_session descent_session;

/* NULL options are all defaults. Sends nothing. NULL with err on failure. */
descent_client *descent_client_new(const descent_options *options, descent_error *err);
void descent_client_free(descent_client *client); /* after what was made from it; NULL is fine */

/* Any request with JSON both ways: method "GET", "POST", "PUT", "PATCH" or "DELETE". body_json may
 * be NULL. *reply_json, when reply_json is not NULL, is the answer, "" when it has no body.
 * `creates` adds an Idempotency-Key. */
bool descent_call(descent_client *client, const char *method, const char *path,
                  const char *body_json, bool creates, char **reply_json, descent_error *err);

/* --- sessions --- */

/* Begin an optimization with "name", "name:7" or "name@alias". settings_json as in the HTTP API:
 * {"coordinates": 10} or {"layout": [..]}, durability, clip_norm, ttl_seconds, labels. */
descent_session *descent_session_create(descent_client *client, const char *optimizer,
                                        const char *settings_json, descent_error *err);

/* Go on with a session, at the step where the server has it. */
descent_session *descent_session_resume(descent_client *client, const char *id, descent_error *err);

/* Forgets the handle; the session stays on the server. NULL is fine. */
void descent_session_free(descent_session *session);

const char *descent_session_id(const descent_session *session);
size_t descent_session_coordinates(const descent_session *session);
uint64_t descent_session_step(const descent_session *session); /* the next update's number */
void descent_session_set_step(descent_session *session, uint64_t step);
bool descent_session_replayed(const descent_session *session); /* was the last update a repeat? */

/* Send gradient [coordinates], float32 where the parameters stand; update [coordinates] is to be
 * ADDED to them. loss is for the session's history, NAN for none. When no answer arrives the same
 * step is sent again, which is safe; after "connection_failed" it may be called again with the same
 * gradient. On failure update is undefined. gradient and update may not overlap. */
bool descent_session_update(descent_session *session, const float *gradient, double loss,
                            float *update, descent_error *err);

bool descent_session_info(descent_session *session, char **info_json, descent_error *err);
bool descent_session_reset(descent_session *session, descent_error *err);
bool descent_session_checkpoint(descent_session *session, const char *name, descent_error *err);
bool descent_session_delete_checkpoint(descent_session *session, const char *name,
                                       descent_error *err);
bool descent_session_restore(descent_session *session, const char *checkpoint, descent_error *err);

/* A new session with the same state, or that of a checkpoint (NULL: as it stands). */
descent_session *descent_session_fork(descent_session *session, const char *checkpoint,
                                      descent_error *err);

/* The whole state as a safetensors file: *bytes [*len], the caller's to free(). */
bool descent_session_state(descent_session *session, void **bytes, size_t *len, descent_error *err);
bool descent_session_load_state(descent_session *session, const void *bytes, size_t len,
                                descent_error *err);

bool descent_session_delete(descent_session *session, descent_error *err); /* on the server */

/* --- optimizers --- */

/* config_json may be NULL: the family's defaults. info_json may be NULL. */
bool descent_optimizer_create(descent_client *client, const char *name, const char *family,
                              const char *config_json, char **info_json, descent_error *err);

/* Add a version from a safetensors file; *version may be NULL. */
bool descent_optimizer_upload(descent_client *client, const char *name, const void *bytes,
                              size_t len, int64_t *version, descent_error *err);

/* The weights of a version as a safetensors file: the caller's to free(). */
bool descent_optimizer_download(descent_client *client, const char *name, int64_t version,
                                void **bytes, size_t *len, descent_error *err);

/* Walk a list ("/v1/optimizers", "/v1/sessions", "/v1/jobs", ...) page by page; ends early, with
 * "stopped", when `item` returns false. */
typedef bool descent_item(void *user, const char *item_json);
bool descent_list(descent_client *client, const char *path, descent_item *item, void *user,
                  descent_error *err);

/* --- jobs --- */

/* Start a job; *id is the caller's to free(). */
bool descent_job_submit(descent_client *client, const char *spec_json, char **id,
                        descent_error *err);

/* Every event from the first (or from the one after `after`, unless that is NULL) until the job is
 * done, as they happen: kind is "state", "progress", "metric", "log" or "done". A lost connection
 * is taken up again where it was. Ends early, with "stopped", when `event` returns false. */
typedef bool descent_event(void *user, const char *id, const char *kind, const char *data_json);
bool descent_job_events(descent_client *client, const char *job, const char *after,
                        descent_event *event, void *user, descent_error *err);

/* Follow a job to its end. *result_json, when result_json is not NULL, is the caller's to free().
 * "job_failed" when it did not succeed. */
bool descent_job_wait(descent_client *client, const char *job, char **result_json,
                      descent_error *err);

#ifdef __cplusplus
}
#endif
#endif
