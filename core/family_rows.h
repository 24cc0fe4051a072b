/* family_rows.h -- rows of a config that mean the same in several hand-designed families
 *
 * So that one word has one range and one meaning wherever a client meets it. */
#ifndef DSC_FAMILY_ROWS_H
#define DSC_FAMILY_ROWS_H

#include "hyper.h"

/* A share that rounds to 1 in float would never forget, and an eps that rounds to 0 would divide 0
 * by 0 at a gradient of 0: two limits that the papers do not have. */
#define DSC_SHARE_MAX 0.9999999
#define DSC_EPS_MIN   1e-30

/* The range goes far beyond any useful step so that an update that overflows can be reached, and
 * refused, on purpose. */
#define DSC_ROW_LEARNING_RATE(start, sentence)                                                     \
    {                                                                                              \
        .name = "learning_rate", .kind = DSC_HYPER_REAL, .min = 0, .max = 1e30,                    \
        .initial = (start), .open = true, .doc = (sentence),                                       \
    }

/* How much of something a step keeps. */
#define DSC_ROW_SHARE(key, start, sentence)                                                        \
    {                                                                                              \
        .name = (key), .kind = DSC_HYPER_REAL, .min = 0, .max = DSC_SHARE_MAX, .initial = (start), \
        .doc = (sentence),                                                                         \
    }

#define DSC_ROW_EPS(start)                                                                         \
    {                                                                                              \
        .name = "eps", .kind = DSC_HYPER_REAL, .min = DSC_EPS_MIN, .max = 1, .initial = (start),   \
        .doc = "Added to the root that divides, so that it can.",                                  \
    }

#endif
