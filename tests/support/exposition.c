#include "exposition.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct family {
    char name[128], type[16];
    bool helped, typed, closed; /* closed: another family's lines have come */
};

struct reader {
    struct exposition *out;
    struct family *family;
    size_t families, line;
};

static bool trouble(struct reader *reader, const char *what, const char *about)
{
    snprintf(reader->out->trouble, sizeof reader->out->trouble, "line %zu: %s: %.160s",
             reader->line, what, about);
    return false;
}

static struct family *find_family(struct reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->families; i++)
        if (strcmp(reader->family[i].name, name) == 0)
            return &reader->family[i];
    return NULL;
}

/* The family, made when it is new; every other one is closed. NULL when it was closed before. */
static struct family *open_family(struct reader *reader, const char *name)
{
    struct family *family = find_family(reader, name);

    if (!family) {
        reader->family = realloc(reader->family, (reader->families + 1) * sizeof *family);
        family = &reader->family[reader->families++];
        *family = (struct family) {0};
        snprintf(family->name, sizeof family->name, "%s", name);
    }
    for (size_t i = 0; i < reader->families; i++)
        if (&reader->family[i] != family)
            reader->family[i].closed = true;
    return family->closed ? NULL : family;
}

static size_t name_len(const char *text, bool colon)
{
    size_t len = strspn(text, colon ? "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:012345"
                                      "6789"
                                    : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456"
                                      "789");
    return *text >= '0' && *text <= '9' ? 0 : len;
}

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);

    return a >= b && strcmp(text + a - b, end) == 0;
}

static bool read_comment(struct reader *reader, const char *line)
{
    char name[128], type[16];
    bool help = strncmp(line, "# HELP ", 7) == 0;

    if (!help && strncmp(line, "# TYPE ", 7) != 0)
        return trouble(reader, "neither HELP nor TYPE", line);
    size_t len = name_len(line + 7, true);
    if (len < 1 || len >= sizeof name || line[7 + len] != ' ')
        return trouble(reader, "no name", line);
    snprintf(name, sizeof name, "%.*s", (int)len, line + 7);
    struct family *family = open_family(reader, name);
    if (!family || (help ? family->helped : family->typed))
        return trouble(reader, "told before", line);
    if (help)
        return family->helped = true;
    snprintf(type, sizeof type, "%s", line + 8 + len);
    if (strcmp(type, "counter") != 0 && strcmp(type, "gauge") != 0 &&
        strcmp(type, "histogram") != 0)
        return trouble(reader, "no type", line);
    if (strcmp(type, "counter") == 0 && !ends_with(name, "_total"))
        return trouble(reader, "a counter ends in _total", line);
    if (strcmp(type, "counter") != 0 && ends_with(name, "_total"))
        return trouble(reader, "only a counter ends in _total", line);
    strcpy(family->type, type);
    return family->typed = true;
}

/* {a="b",c="d"}: the text behind it; NULL when it is malformed. */
static const char *skip_labels(const char *at)
{
    if (*at != '{')
        return at;
    for (at++; *at != '}'; at += *at == ',') {
        size_t len = name_len(at, false);
        if (len < 1 || at[len] != '=' || at[len + 1] != '"')
            return NULL;
        for (at += len + 2; *at != '"'; at++) {
            if (!*at || (*at == '\\' && !strchr("\\\"n", at[1])))
                return NULL;
            at += *at == '\\';
        }
        at++;
        if (*at != ',' && *at != '}')
            return NULL;
    }
    return at + 1;
}

/* The family of a sample's name: itself, or what is before a histogram's suffix. */
static struct family *family_of(struct reader *reader, const char *name)
{
    static const char *const suffix[] = {"_bucket", "_sum", "_count"};
    struct family *family = find_family(reader, name);
    char base[128];

    for (int i = 0; i < 3 && !family; i++) {
        if (!ends_with(name, suffix[i]))
            continue;
        snprintf(base, sizeof base, "%.*s", (int)(strlen(name) - strlen(suffix[i])), name);
        family = find_family(reader, base);
        if (family && strcmp(family->type, "histogram") != 0)
            family = NULL;
    }
    return family;
}

static bool read_sample(struct reader *reader, const char *line)
{
    struct exposition *out = reader->out;
    char name[128], *end = NULL;
    size_t len = name_len(line, true);
    const char *rest = skip_labels(line + len);

    if (len < 1 || len >= sizeof name || !rest || *rest != ' ')
        return trouble(reader, "no sample", line);
    snprintf(name, sizeof name, "%.*s", (int)len, line);
    double value = strtod(rest + 1, &end);
    if (end == rest + 1 || *end || value != value)
        return trouble(reader, "no number", line);
    struct family *family = family_of(reader, name);
    if (!family || !family->helped || !family->typed || family->closed)
        return trouble(reader, "HELP and TYPE are not right in front", line);
    if (strcmp(family->type, "gauge") != 0 && value < 0)
        return trouble(reader, "a count below 0", line);
    out->sample = realloc(out->sample, (out->count + 1) * sizeof *out->sample);
    struct exposition_sample *sample = &out->sample[out->count];
    snprintf(sample->family, sizeof sample->family, "%s", family->name);
    snprintf(sample->series, sizeof sample->series, "%.*s", (int)(rest - line), line);
    sample->value = value;
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->sample[i].series, sample->series) == 0)
            return trouble(reader, "a series twice", line);
    out->count++;
    return true;
}

/* name_bucket{labels,le="x"}: what comes before le, and its bound. */
static bool split_bucket(const char *series, char head[512], double *bound)
{
    const char *le = strstr(series, "le=\"");

    if (!strstr(series, "_bucket{") || !le)
        return false;
    snprintf(head, 512, "%.*s", (int)(le - series), series);
    *bound = strtod(le + 4, NULL); /* "+Inf" too */
    return true;
}

/* The series of the same labels with another ending than _bucket. */
static double beside(const struct exposition *out, const char *head, const char *suffix)
{
    const char *bucket = strstr(head, "_bucket{");
    char series[1024], labels[512];

    snprintf(labels, sizeof labels, "%s", bucket + strlen("_bucket{"));
    if (labels[0])
        labels[strlen(labels) - 1] = '\0'; /* the comma before le */
    snprintf(series, sizeof series, labels[0] ? "%.*s%s{%s}" : "%.*s%s", (int)(bucket - head), head,
             suffix, labels);
    return exposition_value(out, series);
}

static bool check_histograms(struct reader *reader)
{
    const struct exposition *out = reader->out;
    char head[512], last[512] = "";
    double bound, bound_before = 0, count_before = 0;

    for (size_t i = 0; i < out->count; i++) {
        const struct exposition_sample *sample = &out->sample[i];
        if (!split_bucket(sample->series, head, &bound))
            continue;
        bool first = strcmp(head, last) != 0;
        if (!first && (bound <= bound_before || sample->value < count_before))
            return trouble(reader, "buckets fall", sample->series);
        bool whole = strstr(sample->series, "le=\"+Inf\"") != NULL;
        if (whole &&
            (sample->value != beside(out, head, "_count") || beside(out, head, "_sum") < 0))
            return trouble(reader, "+Inf, _count and _sum disagree", sample->series);
        if (!whole && (i + 1 == out->count || !strstr(out->sample[i + 1].series, "le=\"")))
            return trouble(reader, "no +Inf", sample->series);
        strcpy(last, head);
        bound_before = bound;
        count_before = sample->value;
    }
    return true;
}

bool exposition_read(struct exposition *out, const char *text)
{
    struct reader reader = {.out = out};
    size_t len = strlen(text);
    char line[1024];
    bool ok = true;

    *out = (struct exposition) {0};
    if (len < 1 || text[len - 1] != '\n')
        ok = trouble(&reader, "the last line has no end", "");
    while (ok && *text) {
        size_t n = strcspn(text, "\n");
        reader.line++;
        snprintf(line, sizeof line, "%.*s", (int)n, text);
        ok = n < sizeof line && (line[0] == '#' ? read_comment : read_sample)(&reader, line);
        text += n + 1;
    }
    ok = ok && check_histograms(&reader);
    free(reader.family);
    return ok;
}

void exposition_free(struct exposition *exposition)
{
    free(exposition->sample);
    *exposition = (struct exposition) {0};
}

double exposition_value(const struct exposition *exposition, const char *series)
{
    for (size_t i = 0; i < exposition->count; i++)
        if (strcmp(exposition->sample[i].series, series) == 0)
            return exposition->sample[i].value;
    return -1;
}
