#define _GNU_SOURCE
#include "client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool descent_job_submit(descent_client *client, const char *spec_json, char **id,
                        descent_error *err)
{
    json_error_t why;
    json_t *const spec = json_loads(spec_json, 0, &why);
    json_t *info = NULL;
    const char *text = NULL;
    bool ok = (spec || client_fail(err, "invalid_argument", "the specification is no JSON: %s",
                                   why.text)) &&
              client_call(client, "POST", "/v1/jobs", spec, true, &info, err) &&
              client_member_text(info, "id", &text, err);

    if (ok && !(*id = strdup(text)))
        ok = client_fail(err, "out_of_memory", "no memory for an id");
    json_decref(info);
    json_decref(spec);
    return ok;
}

/* --- Server-Sent Events (WHATWG HTML, 9.2) --- */

#define EVENT_BYTES_MAX (16u << 20) /* a line or an event that is longer ends the stream */

struct text {
    char *bytes;
    size_t len;
};

struct reader {
    struct text line, data;
    char id[64], kind[32];
    descent_event *event;
    void *user;
    bool news, done, stopped;
};

static bool text_add(struct text *text, const char *bytes, size_t len)
{
    if (len > EVENT_BYTES_MAX - text->len)
        return false;
    char *const longer = realloc(text->bytes, text->len + len + 1);

    if (!longer)
        return false;
    memcpy(longer + text->len, bytes, len);
    text->bytes = longer;
    text->len += len;
    longer[text->len] = '\0';
    return true;
}

static void text_clear(struct text *text)
{
    free(text->bytes);
    *text = (struct text) {0};
}

static bool dispatch(struct reader *reader)
{
    if (!reader->data.bytes)
        return true;
    reader->news = true;
    reader->stopped = !reader->event(reader->user, reader->id, reader->kind, reader->data.bytes);
    reader->done = strcmp(reader->kind, "done") == 0;
    text_clear(&reader->data);
    reader->kind[0] = '\0';
    return !reader->stopped && !reader->done;
}

static bool on_line(struct reader *reader, char *line)
{
    char *value = strchr(line, ':');

    if (*line == '\0')
        return dispatch(reader);
    if (value) {
        *value++ = '\0';
        value += *value == ' ';
    } else {
        value = line + strlen(line);
    }
    if (strcmp(line, "id") == 0)
        (void)snprintf(reader->id, sizeof reader->id, "%s", value);
    else if (strcmp(line, "event") == 0)
        (void)snprintf(reader->kind, sizeof reader->kind, "%s", value);
    else if (strcmp(line, "data") == 0)
        return (!reader->data.bytes || text_add(&reader->data, "\n", 1)) &&
               text_add(&reader->data, value, strlen(value));
    return true;
}

static bool on_piece(void *user, const char *bytes, size_t len)
{
    struct reader *const reader = user;
    const char *const end = bytes + len;

    while (bytes < end) {
        const char *const stop = memchr(bytes, '\n', (size_t)(end - bytes));

        if (!text_add(&reader->line, bytes, (size_t)((stop ? stop : end) - bytes)))
            return false;
        if (!stop)
            return true;
        if (reader->line.len && reader->line.bytes[reader->line.len - 1] == '\r')
            reader->line.bytes[reader->line.len - 1] = '\0';
        const bool on = on_line(reader, reader->line.bytes);

        text_clear(&reader->line);
        if (!on)
            return false;
        bytes = stop + 1;
    }
    return true;
}

static bool follow(descent_client *client, const char *path, struct reader *reader,
                   descent_error *err)
{
    const int attempts = transport_attempts(client->transport);

    for (int silent = 1;; silent++) {
        bool lost = false;

        reader->news = false;
        if (!transport_stream(client->transport, path, reader->id[0] ? reader->id : NULL, on_piece,
                              reader, &lost, err))
            return false;
        text_clear(&reader->line);
        text_clear(&reader->data);
        if (reader->stopped)
            return client_fail(err, "stopped", "the callback ended the events");
        if (reader->done)
            return true;
        silent = reader->news ? 0 : silent;
        if (silent >= attempts)
            return client_fail(err, "connection_failed", "the events broke off %d times", silent);
        transport_pause(silent + 1, 0);
    }
}

bool descent_job_events(descent_client *client, const char *job, const char *after,
                        descent_event *event, void *user, descent_error *err)
{
    char *const path = client_path(err, "/v1/jobs/%s/events", job);
    struct reader reader = {.event = event, .user = user};

    (void)snprintf(reader.id, sizeof reader.id, "%s", after ? after : "");
    const bool ok = path && follow(client, path, &reader, err);

    free(path);
    return ok;
}

static bool pass_by(void *user, const char *id, const char *kind, const char *data_json)
{
    (void)user, (void)id, (void)kind, (void)data_json;
    return true;
}

static bool take_result(const json_t *info, char **result_json, descent_error *err)
{
    const char *state = NULL;

    if (!client_member_text(info, "state", &state, err))
        return false;
    if (strcmp(state, "succeeded") != 0)
        return client_fail(err, "job_failed", "the job is %s", state);
    if (!result_json)
        return true;
    *result_json = json_dumps(json_object_get(info, "result"), JSON_COMPACT | JSON_ENCODE_ANY);
    return *result_json || client_fail(err, "out_of_memory", "no memory for the result");
}

bool descent_job_wait(descent_client *client, const char *job, char **result_json,
                      descent_error *err)
{
    char *const path = client_path(err, "/v1/jobs/%s", job);
    json_t *info = NULL;
    const bool ok = path && descent_job_events(client, job, NULL, pass_by, NULL, err) &&
                    client_call(client, "GET", path, NULL, false, &info, err) &&
                    take_result(info, result_json, err);

    json_decref(info);
    free(path);
    return ok;
}
