/* err.h -- how a failure travels from the place that finds it to the client who caused it
 *
 * A function that can fail returns bool and takes a dsc_err last. The place that discovers the
 * failure writes the sentence; everyone above only cleans up and returns false. The first failure
 * wins: a later one, usually a consequence, does not overwrite it. NULL is allowed and means "I
 * only need to know whether". A bug in this program is not a failure: it is an assert(). */
#ifndef DSC_ERR_H
#define DSC_ERR_H

#include <stdbool.h>
#include <stdint.h>

#define DSC_MUST_CHECK        __attribute__((warn_unused_result))
#define DSC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* What kind of failure it is. The program above the core continues the list from DSC_EUSER with
 * codes of its own, so that one struct carries a failure through every floor. */
enum {
    DSC_OK = 0,
    DSC_EINVAL,   /* a value given to us is wrong              */
    DSC_EWEIGHTS, /* a set of weights does not fit its family  */
    DSC_ENUMERIC, /* a number stopped being finite             */
    DSC_ELIMIT,   /* a bound of ours was reached               */
    DSC_ENOMEM,   /* no memory                                 */
    DSC_EUSER = 64,
};

/* A number that belongs to a failure and that a program may want to read, such as expected = 10. */
typedef struct {
    const char *name; /* a string constant */
    uint64_t value;
} dsc_fact;

typedef struct {
    int code;         /* DSC_OK until something fails */
    char where[64];   /* the offending value as the caller named it: "gradient[3]", or "" */
    char text[160];   /* one line for a person; about the value, not about the call */
    dsc_fact fact[2]; /* unused ones have name == NULL */
} dsc_err;

/* Record a failure and return false, so that callers can write `return dsc_fail(...)`. `where` may
 * be NULL. Text that does not fit is cut. */
bool dsc_fail(dsc_err *err, int code, const char *where, const char *fmt, ...) DSC_PRINTF(4, 5);

/* Add a number to the failure in err; a third one is dropped. Returns false, like dsc_fail. */
bool dsc_fail_fact(dsc_err *err, const char *name, uint64_t value);

#endif
