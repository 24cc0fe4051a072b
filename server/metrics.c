#include "metrics.h"
#include "clock.h"
#include "fault.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

const char *const metrics_phase_words[] = {"queue", "compute", "persist", "send"};
_Static_assert(sizeof metrics_phase_words / sizeof *metrics_phase_words == PHASES, "one word each");

static const struct {
    uint64_t ns;
    const char *seconds;
} bounds[] = {
    {10000, "1e-05"},     {25000, "2.5e-05"},  {50000, "5e-05"},     {100000, "0.0001"},
    {250000, "0.00025"},  {500000, "0.0005"},  {1000000, "0.001"},   {2500000, "0.0025"},
    {5000000, "0.005"},   {10000000, "0.01"},  {25000000, "0.025"},  {50000000, "0.05"},
    {100000000, "0.1"},   {250000000, "0.25"}, {500000000, "0.5"},   {1000000000, "1"},
    {2500000000u, "2.5"}, {5000000000u, "5"},  {10000000000u, "10"},
};
_Static_assert(sizeof bounds / sizeof *bounds == METRICS_BOUNDS, "the header's number");

/* --- counting --- */

static void add(_Atomic uint64_t *to, uint64_t value)
{
    atomic_fetch_add_explicit(to, value, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

void metrics_observe(struct metrics_histogram *histogram, uint64_t ns)
{
    int i = 0;

    while (i < METRICS_BOUNDS && ns > bounds[i].ns)
        i++;
    add(&histogram->bucket[i], 1);
    add(&histogram->sum_ns, ns);
}

void metrics_count(struct metrics *metrics, const struct metrics_request *request)
{
    struct metrics_route *route = &metrics->route[request->route];

    if (request->status >= METRICS_STATUS_MIN && request->status < METRICS_STATUS_END)
        add(&route->status[request->status - METRICS_STATUS_MIN], 1);
    add(&route->bytes_in, request->bytes_in);
    add(&route->bytes_out, request->bytes_out);
    metrics_observe(&route->seconds, request->ns);
}

bool metrics_open(struct metrics **out, size_t routes, dsc_err *err)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);

    if (metrics)
        metrics->route = calloc(routes + 1, sizeof *metrics->route);
    if (!metrics || !metrics->route) {
        metrics_close(metrics);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the metrics");
    }
    metrics->routes = routes;
    metrics->began_ms = clock_ms();
    metrics->began_ns = clock_ns();
    *out = metrics;
    return true;
}

void metrics_close(struct metrics *metrics)
{
    if (metrics)
        free(metrics->route);
    free(metrics);
}

/* --- text --- */

static void append(struct metrics_text *text, const char *fmt, ...) DSC_PRINTF(2, 3);

static void append(struct metrics_text *text, const char *fmt, ...)
{
    char line[1024];
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof line)
        text->ok = false; /* half a line would be another series */
    else
        text->ok = text->ok && buf_append(text->out, line, (size_t)len);
}

static void append_name(struct metrics_text *text, const char *name, const char *labels)
{
    append(text, labels[0] ? "%s{%s} " : "%s%s ", name, labels);
}

void metrics_head(struct metrics_text *text, const char *name, const char *type, const char *help)
{
    append(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_whole(struct metrics_text *text, const char *name, const char *labels, uint64_t value)
{
    append_name(text, name, labels);
    append(text, "%" PRIu64 "\n", value);
}

void metrics_real(struct metrics_text *text, const char *name, const char *labels, double value)
{
    append_name(text, name, labels);
    append(text, "%.15g\n", value);
}

/* The count is the sum of the buckets, so that the two always agree. */
void metrics_spread(struct metrics_text *text, const char *name, const char *labels,
                    const struct metrics_histogram *histogram)
{
    const char *comma = labels[0] ? "," : "";
    uint64_t below[METRICS_BOUNDS + 1], count = 0, sum_ns = get(&histogram->sum_ns);
    char full[96];

    for (int i = 0; i <= METRICS_BOUNDS; i++)
        below[i] = count += get(&histogram->bucket[i]);
    if (count == 0)
        return;
    for (int i = 0; i <= METRICS_BOUNDS; i++)
        append(text, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma,
               i < METRICS_BOUNDS ? bounds[i].seconds : "+Inf", below[i]);
    snprintf(full, sizeof full, "%s_sum", name);
    metrics_real(text, full, labels, (double)sum_ns / 1e9);
    snprintf(full, sizeof full, "%s_count", name);
    metrics_whole(text, full, labels, count);
}

void metrics_label(char *out, size_t size, const char *value)
{
    size_t len = 0;

    for (; *value && len + 3 < size; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n')
            out[len++] = '\\';
        out[len++] = *value == '\n' ? 'n' : *value;
    }
    out[len] = '\0';
}

/* --- the process --- */

static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    uint64_t pages = 0;

    if (file && fscanf(file, "%*u %" SCNu64, &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the one that reads them */
}

static double cpu_seconds(void)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void metrics_process(struct metrics_text *text, const struct metrics *metrics)
{
    struct rlimit files = {0};

    getrlimit(RLIMIT_NOFILE, &files);
    metrics_head(text, "process_start_time_seconds", "gauge",
                 "When the process began, since 1970.");
    metrics_real(text, "process_start_time_seconds", "", (double)metrics->began_ms / 1e3);
    metrics_head(text, "process_cpu_seconds_total", "counter", "Processor time of all threads.");
    metrics_real(text, "process_cpu_seconds_total", "", cpu_seconds());
    metrics_head(text, "process_resident_memory_bytes", "gauge", "Memory in use.");
    metrics_whole(text, "process_resident_memory_bytes", "", resident_bytes());
    metrics_head(text, "process_open_fds", "gauge", "Open file descriptors.");
    metrics_whole(text, "process_open_fds", "", open_descriptors());
    metrics_head(text, "process_max_fds", "gauge", "The most there may be.");
    metrics_whole(text, "process_max_fds", "", files.rlim_cur);
    metrics_head(text, "descent_uptime_seconds", "gauge", "Since the process began.");
    metrics_real(text, "descent_uptime_seconds", "",
                 (double)(clock_ns() - metrics->began_ns) / 1e9);
}
