/* datasets.h -- the datasets of a folder by name, each read when it is first asked for and kept
 *
 * A name is that of a folder in the folder (mnist), or the stem of a table in it or one folder
 * below (optdigits for tabular/optdigits.tra). One thread. */
#ifndef DATASETS_H
#define DATASETS_H

#include "collection.h"

struct datasets;

/* `dir` NULL: there are none. FAULT_INVALID_VALUE when it is no folder. */
bool datasets_open(struct datasets **out, const char *dir, dsc_err *err) DSC_MUST_CHECK;
/* The same of what a server offers; `collection` is borrowed. */
bool datasets_open_offered(struct datasets **out, struct collection *collection,
                           dsc_err *err) DSC_MUST_CHECK;
void datasets_close(struct datasets *datasets); /* NULL is fine */

/* The training part of a dataset, all of it or, when there are labels, the rows of those classes;
 * borrowed until the close. FAULT_NOT_FOUND, or what dsc_dataset_read and _subset say. */
bool datasets_find(struct datasets *datasets, const char *name, const dsc_hyper_list *labels,
                   const dsc_dataset **out, dsc_err *err) DSC_MUST_CHECK;

#endif
