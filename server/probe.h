/* probe.h -- how many requests are in each phase of their life, to be read after a kill -9
 *
 * The gauges are a page of a file that is mapped shared, so they outlive the process: the crash
 * test sees which phases its kill met. Without a file (that is, in production) there is no probe:
 * its pointer is NULL and a move is one branch. Any thread may move; nobody in the server reads. */
#ifndef PROBE_H
#define PROBE_H

#include "core/descent.h"
#include <stdatomic.h>

/* A request is in RECEIVE, COMPUTE and REPLY in turn. COMMIT is beside COMPUTE: a record is written
 * while its update is computed, and may end before or after it. */
enum probe_phase {
    PROBE_NONE,
    PROBE_RECEIVE, /* its headers have arrived and its body is not whole                */
    PROBE_COMPUTE, /* the application has it: queued, checked, computed; not answered   */
    PROBE_REPLY,   /* answered, and not yet sent whole                                  */
    PROBE_COMMIT,  /* a record is with the committer                                    */
    PROBE_PHASES,
};

struct probe {
    atomic_int gauge[PROBE_PHASES]; /* [PROBE_NONE] is not kept */
};

/* Map `path`, making the file, with every gauge at 0. A path of NULL gives *out NULL. *out is the
 * caller's. FAULT_INTERNAL. */
bool probe_open(struct probe **out, const char *path, dsc_err *err) DSC_MUST_CHECK;
void probe_close(struct probe *probe); /* the file stays; NULL is fine */

static inline void probe_move(struct probe *probe, enum probe_phase from, enum probe_phase to)
{
    if (!probe)
        return;
    if (to != PROBE_NONE)
        atomic_fetch_add(&probe->gauge[to], 1);
    if (from != PROBE_NONE)
        atomic_fetch_sub(&probe->gauge[from], 1);
}

#endif
