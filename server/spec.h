/* spec.h -- what a person asks of a training or an evaluation: a job's JSON, checked, as the core
 * takes it
 *
 * The shapes are tables of fields (field.h), so that the command line, and the jobs of the API,
 * read, check and describe the same words. Everything decoded is borrowed from the caller's arena.
 */
#ifndef SPEC_H
#define SPEC_H

#include "datasets.h"
#include "field.h"

extern const struct shape meta_train_shape, evaluate_shape;

struct spec_train {
    const char *optimizer; /* the name that its version is for; NULL: none */
    const char *init_from; /* a reference to begin with; NULL: fresh weights */
    const char *teacher;   /* a reference to imitate; NULL: none */
    const char *alias;     /* to point at the version; NULL: none */
    bool has_config;       /* the text had one */
    dsc_train_spec core;   /* all but phi and the teacher */
};

struct spec_eval {
    struct field_list optimizers; /* const char *: references */
    struct field_list baselines;  /* const char *: hand-designed families, each with a rate */
    const dsc_problem *problem;
    dsc_hyper hyper; /* the problem's parameters */
    dsc_tuning tuning;
    dsc_eval_task task; /* its problem and hyper point here: do not copy the struct */
};

/* Read text[0..len); datasets that problems name are found in `datasets` and borrowed from there.
 * Failures as field_decode, with where = "problems[0].params.dimension". What the core checks
 * itself (an unroll longer than its horizon) is left to it. `family` is what a text that names none
 * means; NULL: lstm. */
bool spec_train_decode(struct spec_train *out, const char *text, size_t len,
                       const dsc_family *family, struct datasets *datasets, dsc_arena *arena,
                       dsc_err *err) DSC_MUST_CHECK;
bool spec_eval_decode(struct spec_eval *out, const char *text, size_t len,
                      struct datasets *datasets, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;

#endif
