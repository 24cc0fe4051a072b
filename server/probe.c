#include "probe.h"
#include "fault.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool probe_open(struct probe **out, const char *path, dsc_err *err)
{
    *out = NULL;
    if (!path)
        return true;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, sizeof **out) == 0)
        *out = mmap(NULL, sizeof **out, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int failure = errno;
    if (fd >= 0)
        close(fd);
    if (!*out || *out == MAP_FAILED) {
        *out = NULL;
        return dsc_fail(err, FAULT_INTERNAL, "DESCENT_PROBE", "cannot map %.80s: %s", path,
                        strerror(failure));
    }
    for (int i = 0; i < PROBE_PHASES; i++)
        atomic_store(&(*out)->gauge[i], 0);
    return true;
}

void probe_close(struct probe *probe)
{
    if (probe)
        munmap(probe, sizeof *probe);
}
