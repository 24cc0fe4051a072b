/* shapes_data.c -- the bodies of problems and datasets */
#include "api.h"
#include "collection.h"
#include "shapes.h"

#define AT(type, member) .offset = offsetof(struct type, member)

static const struct field parameter_rows[] = {
    {"name", FIELD_STRING, AT(parameter_body, name), .doc = "What params names it by."},
    {"kind", FIELD_STRING, AT(parameter_body, kind),
     .doc = "integer, number, word, integers (a list), or dataset."},
    {"range", FIELD_REALS, AT(parameter_body, range), FIELD_NULLABLE,
     .doc = "The least and the greatest value; null for words and datasets."},
    {"words", FIELD_STRINGS, AT(parameter_body, words), .doc = "Those it may be; else empty."},
    {"default", FIELD_ANY, AT(parameter_body, initial),
     .doc = "What it is when not given; null for a dataset, which must be."},
    {"meaning", FIELD_STRING, AT(parameter_body, meaning), .doc = "What it is for."},
    {0},
};
const struct shape parameter_shape = {
    .name = "problem_parameter",
    .doc = "A parameter of a kind of problem.",
    .size = sizeof(struct parameter_body),
    .fields = parameter_rows,
};

static const struct field problem_rows[] = {
    {"type", FIELD_STRING, AT(problem_kind, type), .doc = "What jobs name it by."},
    {"doc", FIELD_STRING, AT(problem_kind, doc), .doc = "What it is."},
    {"source", FIELD_STRING, AT(problem_kind, source), .doc = "Where it comes from."},
    {"parameters", FIELD_LIST, AT(problem_kind, parameters), .shape = &parameter_shape,
     .doc = "What a job's params may say."},
    {0},
};
static const struct shape problem_kind_shape = {
    .name = "problem_kind",
    .doc = "A distribution of functions to train and measure optimizers on.",
    .size = sizeof(struct problem_kind),
    .fields = problem_rows,
};

static const struct field problem_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &problem_kind_shape,
     .doc = "Every kind there is."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token), .doc = "\"\": all are here."},
    {0},
};
const struct shape problem_page_shape = {
    .name = "problem_page",
    .doc = "The kinds of problems.",
    .size = sizeof(struct page_body),
    .fields = problem_page_rows,
};

static const struct field file_rows[] = {
    {"name", FIELD_STRING, AT(dataset_file_body, name), .doc = "As uploaded."},
    {"size_bytes", FIELD_INT, AT(dataset_file_body, size_bytes), .doc = "Its size."},
    {"sha256", FIELD_STRING, AT(dataset_file_body, sha256), FIELD_NULLABLE,
     .doc = "Of its bytes; null in a folder, where nobody has read it."},
    {0},
};
const struct shape dataset_file_shape = {
    .name = "dataset_file",
    .doc = "A file of a dataset.",
    .size = sizeof(struct dataset_file_body),
    .fields = file_rows,
};

static const struct field dataset_rows[] = {
    {"name", FIELD_STRING, AT(dataset_body, name), .doc = "What params name it by."},
    {"source", FIELD_STRING, AT(dataset_body, source), .doc = "upload or folder."},
    {"state", FIELD_STRING, AT(dataset_body, state),
     .doc = "open: files may still come; ready: it can be used."},
    {"format", FIELD_STRING, AT(dataset_body, format), FIELD_NULLABLE, .doc = "Null while open."},
    {"target", FIELD_STRING, AT(dataset_body, target), FIELD_NULLABLE,
     .doc = "The column to foretell; null: the format's own, or the last."},
    {"files", FIELD_LIST, AT(dataset_body, files), .shape = &dataset_file_shape, .doc = "By name."},
    {"created_at", FIELD_STRING, AT(dataset_body, created_at), FIELD_NULLABLE,
     .format = "date-time", .doc = "RFC 3339; null in a folder."},
    {"committed_at", FIELD_STRING, AT(dataset_body, committed_at), FIELD_NULLABLE,
     .format = "date-time", .doc = "RFC 3339; null while open and in a folder."},
    {0},
};
const struct shape dataset_shape = {
    .name = "dataset",
    .doc = "Data that problems can be made of.",
    .size = sizeof(struct dataset_body),
    .fields = dataset_rows,
};

static const struct field dataset_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &dataset_shape,
     .doc = "Datasets by name."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
const struct shape dataset_page_shape = {
    .name = "dataset_page",
    .doc = "A page of datasets.",
    .size = sizeof(struct page_body),
    .fields = dataset_page_rows,
};

static const struct field commit_rows[] = {
    {"format", FIELD_WORD, AT(dataset_commit_body, format), FIELD_REQUIRED,
     .words = dataset_format_words, .doc = "What the files are."},
    {"target", FIELD_STRING, AT(dataset_commit_body, target), FIELD_OPTIONAL, 1, 255,
     .doc = "Of a table: the column to foretell; the last by default."},
    {0},
};
const struct shape dataset_commit_shape = {
    .name = "collection_commit",
    .doc = "What the files of a dataset are.",
    .size = sizeof(struct dataset_commit_body),
    .fields = commit_rows,
};
