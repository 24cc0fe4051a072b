/* shapes.h -- the bodies of the API as structs; shapes.c has their tables of fields */
#ifndef SHAPES_H
#define SHAPES_H

#include "field.h"
#include "job_event.h"

#define STEP_MAX 9007199254740991.0 /* 2^53 - 1: exact in every client's numbers */

/* One value that was refused: exactly one of the three says where it is. */
struct refused {
    struct field_seen seen;
    const char *pointer, *header, *query, *detail;
};

/* A failure: RFC 9457, and ours. */
struct problem {
    struct field_seen seen;
    const char *type, *title, *detail, *instance, *code, *request_id;
    int64_t status, expected, got, current_step;
    bool retryable;
    struct field_list errors;
};

struct health {
    struct field_seen seen;
    const char *status;
};

struct limits_body {
    struct field_seen seen;
    int64_t coordinates_max, body_bytes_max, json_body_bytes_max, sessions_max, layout_entries_max,
        page_size_max, dense_memory_coordinates_max;
};

struct family_body {
    struct field_seen seen;
    const char *name, *doc, *source, *config;
    bool learned;
};

struct info {
    struct field_seen seen;
    const char *name, *version, *kernel, *arithmetic;
    struct limits_body limits;
    struct field_list families, problems, dtypes;
};

struct optimizer_new {
    struct field_seen seen;
    const char *name, *family, *config, *description, *labels;
};

struct optimizer_body {
    struct field_seen seen;
    const char *name, *family, *config, *description, *labels, *created_at, *source;
    int64_t latest_version;
};

struct page_body { /* of any kind of item */
    struct field_seen seen;
    struct field_list items;
    const char *next_page_token;
};

struct optimizer_patch {
    struct field_seen seen;
    const char *description, *labels;
};

struct alias_new {
    struct field_seen seen;
    int64_t version;
};

struct alias_body {
    struct field_seen seen;
    const char *optimizer, *alias, *created_at, *updated_at;
    int64_t version;
};

struct alias_move_body {
    struct field_seen seen;
    int64_t revision, version;
    const char *changed_at;
};

struct version_new {
    struct field_seen seen;
    const char *config;
};

struct version_body {
    struct field_seen seen;
    const char *optimizer, *family, *config, *sha256, *source, *job, *parent, *metrics, *created_at;
    int64_t version, size_bytes, weights_count, state_bytes_per_coordinate;
};

struct layout_entry {
    struct field_seen seen;
    const char *name;
    struct field_list shape;
    const char *optimizer;
};

struct session_new {
    struct field_seen seen;
    const char *optimizer;
    int64_t coordinates, ttl_seconds;
    struct field_list layout;
    int durability;
    double clip_norm;
    const char *labels;
};

struct session_body {
    struct field_seen seen;
    const char *id, *optimizer, *durability, *state, *labels, *created_at;
    int64_t coordinates, step, state_bytes, ttl_seconds;
    struct field_list layout;
    double clip_norm;
};

struct session_patch {
    struct field_seen seen;
    const char *labels;
    int64_t ttl_seconds;
};

struct checkpoint_new {
    struct field_seen seen;
    const char *name;
};

struct checkpoint_body {
    struct field_seen seen;
    const char *name, *created_at;
    int64_t step;
};

struct restore_body {
    struct field_seen seen;
    const char *checkpoint;
};

struct fork_body {
    struct field_seen seen;
    const char *checkpoint; /* NULL: the state as it is */
};

struct history_point_body {
    struct field_seen seen;
    int64_t step;
    double loss, gradient_norm, update_norm;
};

struct history_body {
    struct field_seen seen;
    struct field_list items;
    int64_t total;
};

struct update_in {
    struct field_seen seen;
    int64_t step;
    double loss;
};

struct update_out { /* described only: the handler writes it */
    struct field_seen seen;
    int64_t step;
    bool replayed;
};

struct key_new { /* or changed */
    struct field_seen seen;
    const char *name, *expires_at;
    int64_t requests_per_minute;
    uint64_t scopes;
};

struct key_body {
    struct field_seen seen;
    const char *id, *name, *prefix, *created_at, *rotated_at, *expires_at, *last_used_at, *key;
    int64_t requests_per_minute;
    uint64_t scopes;
};

struct job_new { /* one of the specs in spec.h */
    struct field_seen seen;
    int type;
    const char *text;
};

struct job_body {
    struct field_seen seen;
    const char *id, *spec, *result, *created_at, *started_at, *finished_at;
    int type, state;
    struct progress_body progress;
    struct job_error error;
};

struct event_body {
    struct field_seen seen;
    const char *data, *at;
    int64_t id;
    int event;
};

struct parameter_body { /* of a kind of problem */
    struct field_seen seen;
    const char *name, *kind, *initial, *meaning;
    struct field_list range, words;
};

struct problem_kind {
    struct field_seen seen;
    const char *type, *doc, *source;
    struct field_list parameters;
};

struct dataset_file_body {
    struct field_seen seen;
    const char *name, *sha256;
    int64_t size_bytes;
};

struct dataset_body {
    struct field_seen seen;
    const char *name, *source, *state, *format, *target, *created_at, *committed_at;
    struct field_list files;
};

struct dataset_commit_body {
    struct field_seen seen;
    int format;
    const char *target;
};

extern const struct shape update_in_shape, update_out_shape, problem_shape, refused_shape;

#endif
