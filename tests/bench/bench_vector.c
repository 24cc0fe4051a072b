/* bench_vector.c -- vectors as JSON text: our scanner and writer against Jansson */
#include "bench.h"
#include "models.h"
#include "server/vector.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { N = 100000 };

struct texts {
    float x[N], back[N];
    char *text, *copy; /* {"gradient":[...]} */
    size_t len;
    json_t *array;
};

static double read_ours(void *arg)
{
    struct texts *const t = arg;
    size_t len = t->len, count;
    bool found;

    memcpy(t->copy, t->text, len); /* the scanner cuts the text it is given */
    const double began = bench_cpu();
    bench_need(vector_extract(t->copy, &len, "gradient", t->back, N, &count, &found, NULL) &&
                   count == N,
               "the text could not be read");
    return (bench_cpu() - began) / N;
}

static double read_jansson(void *arg)
{
    struct texts *const t = arg;
    const double began = bench_cpu();
    json_t *const whole = json_loadb(t->text, t->len, 0, NULL);
    const json_t *const array = json_object_get(whole, "gradient");

    bench_need(json_array_size(array) == N, "Jansson could not read the text");
    for (size_t i = 0; i < N; i++)
        t->back[i] = (float)json_number_value(json_array_get(array, i));
    json_decref(whole);
    return (bench_cpu() - began) / N;
}

static double write_ours(void *arg)
{
    struct texts *const t = arg;
    const double began = bench_cpu();

    bench_need(vector_write(t->copy, t->x, N) > N, "the numbers could not be written");
    return (bench_cpu() - began) / N;
}

/* Nine digits: what a float32 needs to come back. */
static double write_jansson(void *arg)
{
    struct texts *const t = arg;
    const double began = bench_cpu();
    json_t *const array = json_array();

    for (size_t i = 0; i < N; i++)
        json_array_append_new(array, json_real((double)t->x[i]));
    char *const text = json_dumps(array, JSON_COMPACT | JSON_REAL_PRECISION(9));
    bench_need(text != NULL, "Jansson could not write");
    free(text);
    json_decref(array);
    return (bench_cpu() - began) / N;
}

int main(void)
{
    static struct texts t;
    char a[32], b[32];
    const size_t room = vector_text_max(N) + 64;

    fill_gradient(t.x, N);
    bench_need((t.text = malloc(room)) && (t.copy = malloc(room)), "no memory");
    t.len = (size_t)sprintf(t.text, "{\"gradient\":");
    t.len += vector_write(t.text + t.len, t.x, N);
    t.text[t.len++] = '}';

    bench_title("vectors as text (100,000 numbers, a number)");
    struct bench_pair pair = bench_in_turn(read_jansson, &t, read_ours, &t, BENCH_ROUNDS);
    bench_row("reading: Jansson / ours", bench_time(a, pair.a), bench_time(b, pair.b), pair.ratio,
              BENCH_AT_LEAST, 12);
    pair = bench_in_turn(write_jansson, &t, write_ours, &t, BENCH_ROUNDS);
    bench_row("writing: Jansson / ours", bench_time(a, pair.a), bench_time(b, pair.b), pair.ratio,
              BENCH_AT_LEAST, 6);
    free(t.text);
    free(t.copy);
    return 0;
}
