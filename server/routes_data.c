/* routes_data.c -- what optimizers are trained and measured on: problems, and datasets for them */
#include "api.h"
#include "shapes.h"

const struct route data_routes[] = {
    {"GET", "/v1/problems", SCOPE_ANY, "Kinds of problems, with their parameters",
     .out = &problem_page_shape, .status = 200, .serve = problem_list},

    {"PUT", "/v1/datasets/{name}/files/{file}", SCOPE_DATASETS_WRITE,
     "Upload a file, gzipped or not; the first one makes the dataset", .take = MEDIA(MEDIA_BYTES),
     .out = &dataset_file_shape, .status = 201, .also = {200}, .makes = true,
     .may_fail = CAN(FAULT_INVALID_VALUE) | CAN(FAULT_INVALID_STATE) |
                 CAN(FAULT_BUILTIN_PROTECTED) | CAN(FAULT_QUOTA_EXCEEDED),
     .serve = dataset_file_put, .piece = dataset_file_piece},
    {"POST", "/v1/datasets/{name}/commit", SCOPE_DATASETS_WRITE,
     "Say what the files are; they do not change any more", .in = &dataset_commit_shape,
     .out = &dataset_shape, .status = 200,
     .may_fail = CAN(FAULT_INVALID_STATE) | CAN(FAULT_BUILTIN_PROTECTED), .serve = dataset_close},
    {"GET", "/v1/datasets", SCOPE_DATASETS_READ, "List datasets", .query = page_query,
     .out = &dataset_page_shape, .status = 200, .serve = dataset_page},
    {"GET", "/v1/datasets/{name}", SCOPE_DATASETS_READ, "One dataset", .out = &dataset_shape,
     .status = 200, .serve = dataset_get},
    {"DELETE", "/v1/datasets/{name}", SCOPE_DATASETS_WRITE, "Delete a dataset and its files",
     .status = 204, .may_fail = CAN(FAULT_BUILTIN_PROTECTED) | CAN(FAULT_IN_USE),
     .serve = dataset_remove},
    {0},
};
