/* err.c -- recording a failure */
#include "err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

bool dsc_fail(dsc_err *err, int code, const char *where, const char *fmt, ...)
{
    va_list args;

    if (!err || err->code != DSC_OK)
        return false;
    err->code = code;
    (void)snprintf(err->where, sizeof err->where, "%s", where ? where : "");
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return false;
}

bool dsc_fail_fact(dsc_err *err, const char *name, uint64_t value)
{
    const size_t room = err ? sizeof err->fact / sizeof err->fact[0] : 0;

    for (size_t i = 0; i < room; i++) {
        if (err->fact[i].name)
            continue;
        err->fact[i] = (dsc_fact) {.name = name, .value = value};
        break;
    }
    return false;
}
