#include "api.h"
#include "fault.h"
#include <stdio.h>

/* `method="GET",route="/v1"` */
static void route_labels(char out[160], size_t i)
{
    const struct route *const route = route_at(i);
    char path[96];

    metrics_label(path, sizeof path, route ? route->path : "unmatched");
    snprintf(out, 160, "method=\"%s\",route=\"%s\"", route ? route->method : "", path);
}

static void write_statuses(struct metrics_text *text, const struct metrics *metrics)
{
    static const char name[] = "descent_http_requests_total";
    char labels[160], all[192];

    metrics_head(text, name, "counter", "Answered requests.");
    for (size_t i = 0; i <= metrics->routes; i++) {
        route_labels(labels, i);
        for (int status = METRICS_STATUS_MIN; status < METRICS_STATUS_END; status++) {
            uint64_t count = metrics->route[i].status[status - METRICS_STATUS_MIN];
            snprintf(all, sizeof all, "%s,status=\"%d\"", labels, status);
            if (count)
                metrics_whole(text, name, all, count);
        }
    }
}

static void write_bytes(struct metrics_text *text, const struct metrics *metrics)
{
    static const char in[] = "descent_http_request_body_bytes_total";
    static const char out[] = "descent_http_response_body_bytes_total";
    char labels[160];

    metrics_head(text, in, "counter", "Bytes of the bodies of requests.");
    for (size_t i = 0; i <= metrics->routes; i++) {
        route_labels(labels, i);
        if (metrics->route[i].bytes_in)
            metrics_whole(text, in, labels, metrics->route[i].bytes_in);
    }
    metrics_head(text, out, "counter", "Bytes of the bodies of answers.");
    for (size_t i = 0; i <= metrics->routes; i++) {
        route_labels(labels, i);
        if (metrics->route[i].bytes_out)
            metrics_whole(text, out, labels, metrics->route[i].bytes_out);
    }
}

static void write_seconds(struct metrics_text *text, const struct metrics *metrics)
{
    static const char request[] = "descent_http_request_seconds";
    static const char phase[] = "descent_update_phase_seconds";
    char labels[160];

    metrics_head(text, request, "histogram", "From a request's headers to its answer.");
    for (size_t i = 0; i <= metrics->routes; i++) {
        route_labels(labels, i);
        metrics_spread(text, request, labels, &metrics->route[i].seconds);
    }
    metrics_head(text, phase, "histogram",
                 "Parts of an update: waiting, computing, committing (beside computing), sending.");
    for (int i = 0; i < PHASES; i++) {
        snprintf(labels, sizeof labels, "phase=\"%s\"", metrics_phase_words[i]);
        metrics_spread(text, phase, labels, &metrics->phase[i]);
    }
}

/* --- numbers that others keep --- */

struct number {
    const char *name, *type, *labels, *help; /* a help of NULL: one more of the family above */
    double value;
};

static void write_numbers(struct metrics_text *text, const struct number *number, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (number[i].help)
            metrics_head(text, number[i].name, number[i].type, number[i].help);
        metrics_real(text, number[i].name, number[i].labels, number[i].value);
    }
}

static void write_service(struct metrics_text *text, struct app *app)
{
    const struct session_usage session = sessions_usage(app->sessions);
    const struct journal_usage journal = journal_usage(app->journal);
    const struct number number[] = {
        {"descent_http_requests_in_flight", "gauge", "", "Requests that are not over.",
         (double)atomic_load(&app->metrics->in_flight)},
        {"descent_sessions_in_memory", "gauge", "", "Sessions in memory.", (double)session.count},
        {"descent_sessions_memory_bytes", "gauge", "", "What those take.", (double)session.bytes},
        {"descent_sessions_memory_limit_bytes", "gauge", "", "What those may take.",
         (double)session.bytes_budget},
        {"descent_sessions_loaded_total", "counter", "", "Sessions read from the journal.",
         (double)session.loaded},
        {"descent_sessions_evicted_total", "counter", "", "Idle sessions put away for memory.",
         (double)session.evicted},
        {"descent_sessions_expired_total", "counter", "",
         "Sessions removed a day after they expired.", (double)session.expired},
        {"descent_pool_queue_tasks", "gauge", "pool=\"compute\"", "Tasks that wait for a thread.",
         (double)pool_waiting(app->compute)},
        {"descent_pool_queue_tasks", "gauge", "pool=\"control\"", NULL,
         (double)pool_waiting(app->control)},
        {"descent_pool_threads", "gauge", "pool=\"compute\"", "Threads.",
         (double)pool_threads(app->compute)},
        {"descent_pool_threads", "gauge", "pool=\"control\"", NULL,
         (double)pool_threads(app->control)},
        {"descent_journal_queue_records", "gauge", "", "Records that wait for the committer.",
         (double)journal.waiting},
        {"descent_journal_queue_bytes", "gauge", "", "Bytes of those and of those being committed.",
         (double)journal.bytes},
        {"descent_journal_commits_total", "counter", "durability=\"strict\"",
         "Transactions of the bulk database.", (double)journal.commits[1]},
        {"descent_journal_commits_total", "counter", "durability=\"relaxed\"", NULL,
         (double)journal.commits[0]},
        {"descent_journal_commit_failures_total", "counter", "", "Transactions that failed.",
         (double)journal.failures},
        {"descent_journal_records_total", "counter", "", "Records committed.",
         (double)journal.records},
        {"descent_journal_commit_seconds_total", "counter", "", "Time in those transactions.",
         (double)journal.commit_ns / 1e9},
    };

    write_numbers(text, number, sizeof number / sizeof *number);
}

static bool write_jobs(struct metrics_text *text, struct app *app, dsc_err *err)
{
    static const char name[] = "descent_jobs";
    const struct jobs_done done = jobs_done(app->jobs);
    int64_t counts[JOB_STATES];
    char labels[64];
    const struct number number[] = {
        {"descent_job_epochs_total", "counter", "",
         "Epochs of trainings, and optimizers of evaluations, done.", (double)done.epochs},
        {"descent_job_work_seconds_total", "counter", "", "Time that workers had a job in hand.",
         done.seconds},
        {"descent_job_followers", "gauge", "", "Clients that follow events as they happen.",
         (double)watchers_count(app->watchers)},
    };

    if (!store_job_counts(app->store, counts, err))
        return false;
    metrics_head(text, name, "gauge", "Jobs in the database.");
    for (int state = 0; state < JOB_STATES; state++) {
        snprintf(labels, sizeof labels, "state=\"%s\"", job_state_words[state]);
        metrics_whole(text, name, labels, (uint64_t)counts[state]);
    }
    write_numbers(text, number, sizeof number / sizeof *number);
    return true;
}

static void write_build(struct metrics_text *text, const struct app *app)
{
    char labels[160];

    snprintf(labels, sizeof labels, "version=\"%s\",kernel=\"%s\",arithmetic=\"%s\"",
             DESCENT_VERSION, app->kernel->name, app->kernel->arithmetic);
    metrics_head(text, "descent_build_info", "gauge", "1; what runs is in the labels.");
    metrics_whole(text, "descent_build_info", labels, 1);
}

bool metrics_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct metrics_text text = {buf_new(16384), true};

    (void)in, (void)out;
    if (!text.out)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the metrics");
    call->reply.body = text.out;
    call->reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    write_build(&text, call->app);
    metrics_process(&text, call->app->metrics);
    write_service(&text, call->app);
    write_statuses(&text, call->app->metrics);
    write_bytes(&text, call->app->metrics);
    write_seconds(&text, call->app->metrics);
    if (!write_jobs(&text, call->app, err))
        return false;
    return text.ok || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the metrics");
}
