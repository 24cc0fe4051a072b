/* hyper.h -- parameters that a person chooses, checked against a table
 *
 * A family (and later a problem) declares rows of name, kind, range, default and meaning. A
 * dsc_hyper holds one checked value a row. The same rows decode a config, fill in what it leaves
 * out, show it whole and document it. */
#ifndef DSC_HYPER_H
#define DSC_HYPER_H

#include "err.h"
#include <stddef.h>

/* The most rows a table may have; the largest family needs ten. */
#define DSC_HYPER_MAX 16

typedef enum {
    DSC_HYPER_INT,     /* a whole number in [min, max]                           */
    DSC_HYPER_REAL,    /* a finite number in [min, max]; above min if it is open */
    DSC_HYPER_WORD,    /* one of words; the value is its index                   */
    DSC_HYPER_LIST,    /* whole numbers in [min, max]; at first none, or `initial` alone if not 0 */
    DSC_HYPER_DATASET, /* the name of a dataset; whoever has it binds it      */
} dsc_hyper_kind;

/* The most numbers in a list, lists in a table, and bytes of a dataset's name. */
#define DSC_HYPER_LIST_MAX 16
#define DSC_HYPER_LISTS    2
#define DSC_HYPER_NAME_MAX 63

struct dsc_dataset;

typedef struct {
    const char *name; /* on the wire and in databases: never renamed */
    dsc_hyper_kind kind;
    double min, max, initial;
    bool open;                /* min itself is not allowed */
    const char *const *words; /* NULL-terminated, for DSC_HYPER_WORD */
    const char *at_most;      /* the row whose value this one may not exceed; or NULL */
    const char *doc;          /* a sentence; units included */
} dsc_hyper_spec;

typedef struct {
    int count;
    double item[DSC_HYPER_LIST_MAX];
} dsc_hyper_list;

typedef struct {
    const dsc_hyper_spec *spec;  /* the table; the last row has name == NULL  */
    double value[DSC_HYPER_MAX]; /* of a list: which one it is                */
    dsc_hyper_list list[DSC_HYPER_LISTS];
    char dataset_name[DSC_HYPER_NAME_MAX + 1]; /* "" when none was named       */
    const struct dsc_dataset *dataset;         /* borrowed; NULL until bound   */
} dsc_hyper;

/* Every row at its default. */
void dsc_hyper_init(dsc_hyper *hyper, const dsc_hyper_spec *spec);

/* Set one row by name; a dataset's name is a word too. DSC_EINVAL, with where = the name, when
 * there is no such row (the sentence lists those there are), the kind differs, or the value is out
 * of range; then nothing has changed.
 */
bool dsc_hyper_set_number(dsc_hyper *hyper, const char *name, double value, dsc_err *err);
bool dsc_hyper_set_word(dsc_hyper *hyper, const char *name, const char *word, dsc_err *err);

/* A list by name, of numbers; failures likewise. */
bool dsc_hyper_set_list(dsc_hyper *hyper, const char *name, const double *items, size_t count,
                        dsc_err *err);

/* The list that a DSC_HYPER_LIST row holds; borrowed. */
const dsc_hyper_list *dsc_hyper_list_at(const dsc_hyper *hyper, int row);

/* Does the table name a dataset? Then `dataset` must be bound before the hyper is used. */
bool dsc_hyper_has_dataset(const dsc_hyper_spec *spec);

/* Do the rows go together? To be asked when all have been set. DSC_EINVAL, with where = the name of
 * one that exceeds another. */
bool dsc_hyper_check(const dsc_hyper *hyper, dsc_err *err);

/* The index of a row, or -1. */
int dsc_hyper_find(const dsc_hyper_spec *spec, const char *name);

/* The word that a DSC_HYPER_WORD row holds; borrowed from the table. */
const char *dsc_hyper_word(const dsc_hyper *hyper, int row);

#endif
