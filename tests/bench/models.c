#include "models.h"

#include "bench.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

dsc_model *model_lstm(const dsc_kernel *kernel)
{
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(1, 2, 3);
    dsc_hyper hyper;
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, dsc_family_lstm.hyper);
    dsc_family_lstm.phi_layout(&layout, &hyper);
    float *phi = calloc(layout.len, sizeof *phi);
    bench_need(phi != NULL, "no memory");
    dsc_family_lstm.phi_init(phi, &rng, &hyper);
    bench_need(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, kernel, NULL), "no model");
    free(phi);
    return model;
}

dsc_model *model_plain(const dsc_family *family)
{
    dsc_hyper hyper;
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, family->hyper);
    bench_need(dsc_model_new(&model, family, &hyper, NULL, NULL, NULL), "no model");
    return model;
}

void fill_gradient(float *grad, size_t n)
{
    dsc_rng rng = dsc_rng_at(4, 5, 6);

    for (size_t i = 0; i < n; i++)
        grad[i] = (float)(dsc_rng_normal(&rng) * pow(10, -6 * dsc_rng_uniform(&rng)));
}

/* --- a crew of two --- */

struct share {
    size_t jobs;
    atomic_size_t next;
    dsc_job *job;
    void *arg;
};

static void work_on(struct share *share, int worker)
{
    for (size_t i; (i = atomic_fetch_add(&share->next, 1)) < share->jobs;)
        share->job(share->arg, i, worker);
}

/* A second thread that stands ready, so that no measurement contains its creation. */
struct helper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct share *share;
    bool closing;
};

static void *helper_run(void *arg)
{
    struct helper *helper = arg;

    pthread_mutex_lock(&helper->lock);
    for (;;) {
        while (!helper->share && !helper->closing)
            pthread_cond_wait(&helper->changed, &helper->lock);
        if (helper->closing)
            break;
        struct share *share = helper->share;
        pthread_mutex_unlock(&helper->lock);
        work_on(share, 1);
        pthread_mutex_lock(&helper->lock);
        helper->share = NULL;
        pthread_cond_broadcast(&helper->changed);
    }
    pthread_mutex_unlock(&helper->lock);
    return NULL;
}

static void run_two(void *pool, size_t jobs, dsc_job *job, void *arg)
{
    struct helper *helper = pool;
    struct share share = {.jobs = jobs, .job = job, .arg = arg};

    pthread_mutex_lock(&helper->lock);
    helper->share = &share;
    pthread_cond_broadcast(&helper->changed);
    pthread_mutex_unlock(&helper->lock);
    work_on(&share, 0);
    pthread_mutex_lock(&helper->lock);
    while (helper->share)
        pthread_cond_wait(&helper->changed, &helper->lock);
    pthread_mutex_unlock(&helper->lock);
}

dsc_crew crew_of(int threads)
{
    if (threads == 1)
        return dsc_crew_alone;
    struct helper *helper = calloc(1, sizeof *helper);
    bench_need(helper != NULL, "no memory");
    pthread_mutex_init(&helper->lock, NULL);
    pthread_cond_init(&helper->changed, NULL);
    bench_need(pthread_create(&helper->thread, NULL, helper_run, helper) == 0, "no thread");
    return (dsc_crew) {.workers = 2, .run = run_two, .pool = helper};
}

void crew_end(dsc_crew *crew)
{
    struct helper *helper = crew->pool;

    if (!helper)
        return;
    pthread_mutex_lock(&helper->lock);
    helper->closing = true;
    pthread_cond_broadcast(&helper->changed);
    pthread_mutex_unlock(&helper->lock);
    pthread_join(helper->thread, NULL);
    pthread_cond_destroy(&helper->changed);
    pthread_mutex_destroy(&helper->lock);
    free(helper);
    crew->pool = NULL;
}

/* --- stepping --- */

static float *numbers(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 64) / 64 * 64);

    bench_need(x != NULL, "no memory");
    return x;
}

void stepper_init(struct stepper *stepper, dsc_model *model, size_t n, int threads)
{
    *stepper = (struct stepper) {.n = n, .grad = numbers(n), .update = numbers(n)};
    bench_need(dsc_run_new(&stepper->run, model, n, NULL), "no run");
    fill_gradient(stepper->grad, n);
    stepper->crew = crew_of(threads);
    for (int i = 0; i < threads; i++)
        bench_need((stepper->work[i] = dsc_work_new()) != NULL, "no memory");
    stepper_step(stepper);
    const double began = bench_wall();
    stepper_step(stepper);
    stepper->steps = 1 + (int)(0.03 / (bench_wall() - began + 1e-9));
}

void stepper_clear(struct stepper *stepper)
{
    crew_end(&stepper->crew);
    dsc_run_free(stepper->run);
    dsc_work_free(stepper->work[0]);
    dsc_work_free(stepper->work[1]);
    free(stepper->grad);
    free(stepper->update);
}

/* Four pieces a worker, so that one that is held up does not hold up the other. */
enum { PIECES = 8 };

static void step_piece(void *arg, size_t index, int worker)
{
    const struct stepper *s = arg;
    const size_t blocks = (s->n + DSC_BLOCK - 1) / DSC_BLOCK;
    const size_t begin = blocks * index / PIECES * DSC_BLOCK;
    const size_t end = blocks * (index + 1) / PIECES * DSC_BLOCK;

    dsc_run_span(s->run, dsc_run_steps(s->run), begin, end < s->n ? end : s->n, s->grad + begin,
                 s->update + begin, s->work[worker]);
}

void stepper_step(struct stepper *s)
{
    if (s->crew.workers == 1) {
        bench_need(dsc_run_step(s->run, s->grad, s->update, s->work[0], NULL), "a step failed");
        return;
    }
    bench_need(dsc_run_check(s->run, s->grad, 1e30, s->work[0], NULL), "a step failed");
    s->crew.run(s->crew.pool, PIECES, step_piece, s);
    dsc_run_advance(s->run);
}

static double measure(struct stepper *stepper, double (*clock)(void))
{
    const double began = clock();

    for (int i = 0; i < stepper->steps; i++)
        stepper_step(stepper);
    return (clock() - began) / stepper->steps;
}

double stepper_wall(void *stepper)
{
    return measure(stepper, bench_wall);
}

double stepper_cpu(void *stepper)
{
    return measure(stepper, bench_cpu);
}
