/* dataset_csv.c -- tables as text
 *
 * A row a line, cells between commas, quoted as in RFC 4180 where need be. The first line is a
 * header when none of its cells is a number. A column is numeric when every cell is a number, "?"
 * or empty, and is then shifted and scaled to mean 0 and deviation 1, what is missing counting as
 * the mean; any other column becomes one number for each of its words, 1 where the cell is that
 * word. The target is the last column, or the named one: words, in order, or whole numbers are
 * classes.
 *
 * What a column is, is decided by the training part, so that the test part (.tes beside .tra) is
 * seen with the same eyes. */
#include "dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, COLUMNS_MAX = 4096, WORDS_MAX = 1000 };

/* --- cells --- */

typedef struct {
    char *text;                  /* owned: the file, its cells NUL-terminated in place */
    char **cell;                 /* [rows][columns], owned                             */
    size_t rows, columns, first; /* first: row of the file that has data */
} table;

/* The cell at *at, ended and unquoted in place; *at moves behind it and its comma or line end.
 * `last` in its line? NULL when a quote never ends. */
static char *next_cell(char **at, bool *last)
{
    char *from = *at, *cell = from, *to = from;
    const bool quoted = *from == '"';

    if (quoted)
        for (from++; *from && !(from[0] == '"' && from[1] != '"'); from++) {
            *to++ = *from;
            from += from[0] == '"'; /* two of them are one */
        }
    else
        while (*from && *from != ',' && *from != '\n')
            *to++ = *from++;
    if (quoted && *from != '"')
        return NULL;
    from += quoted;
    while (*from && *from != ',' && *from != '\n')
        from++;
    *last = *from != ',';
    *at = *from ? from + 1 : from;
    while (to > cell && strchr(" \t\r", to[-1]))
        to--;
    *to = '\0';
    return quoted ? cell : cell + strspn(cell, " \t");
}

/* Lines that are not empty, and commas of the first: enough to make room. */
static size_t count_lines(const char *text)
{
    size_t lines = 0;

    for (const char *at = text; *at;) {
        const size_t len = strcspn(at, "\n");
        lines += len > 0 && !(len == 1 && at[0] == '\r');
        at += len + (at[len] != '\0');
    }
    return lines;
}

static bool take_line(table *t, char **at, size_t row, const char *name, dsc_err *err)
{
    bool last = false;
    size_t count = 0;

    for (; !last; count++) {
        char *const cell = next_cell(at, &last);
        if (!cell)
            return dsc_fail(err, DSC_EINVAL, name, "line %zu has a quote that never ends", row + 1);
        if (count < t->columns)
            t->cell[row * t->columns + count] = cell;
    }
    return count == t->columns ||
           dsc_fail(err, DSC_EINVAL, name, "line %zu has not the %zu cells of the first one",
                    row + 1, t->columns);
}

static size_t count_cells(const char *text)
{
    size_t cells = 1;
    bool quoted = false;

    for (; *text && (quoted || *text != '\n'); text++) {
        quoted ^= *text == '"';
        cells += !quoted && *text == ',';
    }
    return cells;
}

static bool split(table *t, const char *name, dsc_err *err)
{
    const size_t lines = count_lines(t->text);
    char *at = t->text;
    size_t cells;

    t->columns = count_cells(t->text);
    if (lines < 1 || t->columns < 2 || t->columns > COLUMNS_MAX)
        return dsc_fail(err, DSC_EINVAL, name, "must have lines of 2 to %d cells", COLUMNS_MAX);
    if (__builtin_mul_overflow(lines, t->columns, &cells) ||
        cells > DSC_DATASET_BYTES / sizeof *t->cell)
        return dsc_fail(err, DSC_ELIMIT, name, "has too many cells");
    t->cell = calloc(cells, sizeof *t->cell);
    if (!t->cell)
        return dsc_fail(err, DSC_ENOMEM, name, "no memory for its cells");
    for (; *at && t->rows < lines; t->rows++) {
        at += strspn(at, "\r\n");
        if (!*at)
            break;
        if (!take_line(t, &at, t->rows, name, err))
            return false;
    }
    return true;
}

static bool is_number(const char *cell, double *x)
{
    char *end;

    *x = strtod(cell, &end);
    return end != cell && *end == '\0' && isfinite(*x);
}

static bool is_missing(const char *cell)
{
    return cell[0] == '\0' || strcmp(cell, "?") == 0;
}

static bool load(table *t, const char *path, dsc_err *err)
{
    const char *const slash = strrchr(path, '/'), *const name = slash ? slash + 1 : path;
    unsigned char *bytes;
    size_t len;
    double x;

    if (!dsc_dataset_slurp(&bytes, &len, path, err))
        return false;
    t->text = realloc(bytes, len + 1);
    if (!t->text) {
        free(bytes);
        return dsc_fail(err, DSC_ENOMEM, name, "no memory for it");
    }
    t->text[len] = '\0';
    if (strlen(t->text) != len)
        return dsc_fail(err, DSC_EINVAL, name, "has a NUL byte and is no text");
    if (!split(t, name, err))
        return false;
    t->first = 1;
    for (size_t i = 0; i < t->columns; i++)
        if (is_number(t->cell[i], &x))
            t->first = 0;
    return t->rows > t->first || dsc_fail(err, DSC_EINVAL, name, "has no rows");
}

static void release(table *t)
{
    free(t->text);
    free(t->cell);
}

/* --- columns --- */

typedef struct {
    bool numeric;
    double mean, scale; /* numeric: (x - mean) scale */
    const char **word;  /* [words] in order, owned; the texts are the table's */
    size_t words;
} column;

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The column's cell in a row. */
static const char *cell_at(const table *t, size_t row, size_t i)
{
    return t->cell[row * t->columns + i];
}

static bool find_numeric(column *c, const table *t, size_t i)
{
    double sum = 0, square = 0, x;
    size_t count = 0;

    for (size_t row = t->first; row < t->rows; row++) {
        if (is_missing(cell_at(t, row, i)))
            continue;
        if (!is_number(cell_at(t, row, i), &x))
            return false;
        sum += x;
        count++;
    }
    c->mean = count ? sum / (double)count : 0;
    for (size_t row = t->first; row < t->rows; row++)
        if (is_number(cell_at(t, row, i), &x))
            square += (x - c->mean) * (x - c->mean);
    c->scale = square > 0 ? sqrt((double)count / square) : 0;
    return c->numeric = true;
}

/* Its distinct words, "?" and the empty one left out. */
static bool find_words(column *c, const table *t, size_t i, const char *name, dsc_err *err)
{
    const char **const all = calloc(t->rows, sizeof *all);
    size_t count = 0;

    if (!all)
        return dsc_fail(err, DSC_ENOMEM, name, "no memory for its words");
    for (size_t row = t->first; row < t->rows; row++)
        if (!is_missing(cell_at(t, row, i)))
            all[count++] = cell_at(t, row, i);
    qsort(all, count, sizeof *all, compare);
    for (size_t k = 0; k < count; k++)
        if (c->words == 0 || strcmp(all[k], all[c->words - 1]) != 0)
            all[c->words++] = all[k];
    c->word = all;
    return c->words <= WORDS_MAX ||
           dsc_fail(err, DSC_EINVAL, name, "column %zu has %zu different words, more than %d",
                    i + 1, c->words, WORDS_MAX);
}

/* Which of its words a cell is; c->words when it is none. */
static size_t word_of(const column *c, const char *cell)
{
    const char *const *const found = bsearch(&cell, c->word, c->words, sizeof *c->word, compare);

    return found ? (size_t)(found - c->word) : c->words;
}

static size_t width(const column *c)
{
    return c->numeric ? 1 : c->words;
}

static void put(const column *c, const char *cell, float *to)
{
    double x;

    if (!c->numeric && word_of(c, cell) < c->words)
        to[word_of(c, cell)] = 1;
    if (c->numeric && is_number(cell, &x))
        to[0] = (float)((x - c->mean) * c->scale);
}

/* --- a dataset --- */

typedef struct {
    table train, test;
    column *column; /* [columns] owned */
    size_t target, features;
} reading;

static bool find_target(reading *r, const char *target, const char *name, dsc_err *err)
{
    r->target = r->train.columns - 1;
    if (!target)
        return true;
    for (size_t i = 0; r->train.first == 1 && i < r->train.columns; i++)
        if (strcmp(r->train.cell[i], target) == 0) {
            r->target = i;
            return true;
        }
    return dsc_fail(err, DSC_EINVAL, name, "has no column \"%.60s\"", target);
}

static bool find_columns(reading *r, const char *name, dsc_err *err)
{
    r->column = calloc(r->train.columns, sizeof *r->column);
    if (!r->column)
        return dsc_fail(err, DSC_ENOMEM, name, "no memory for its columns");
    for (size_t i = 0; i < r->train.columns; i++) {
        if (!find_numeric(&r->column[i], &r->train, i) &&
            !find_words(&r->column[i], &r->train, i, name, err))
            return false;
        r->features += i == r->target ? 0 : width(&r->column[i]);
    }
    return true;
}

static bool put_target(const column *c, const char *cell, float *to)
{
    double x;

    if (!c->numeric)
        return (*to = (float)word_of(c, cell)) < (float)c->words;
    return is_number(cell, &x) && isfinite(*to = (float)x);
}

static bool fill(dsc_dataset *to, const reading *r, const table *t, const char *name, dsc_err *err)
{
    for (size_t row = 0; row < to->rows; row++) {
        float *x = to->numbers + row * to->features;

        for (size_t i = 0; i < t->columns; i++) {
            if (i == r->target)
                continue;
            put(&r->column[i], cell_at(t, row + t->first, i), x);
            x += width(&r->column[i]);
        }
        if (!put_target(&r->column[r->target], cell_at(t, row + t->first, r->target),
                        &to->targets[row]))
            return dsc_fail(err, DSC_EINVAL, name, "row %zu has no target", row + 1);
    }
    (void)dsc_dataset_classify(to); /* else numbers */
    return true;
}

static bool make(dsc_dataset **out, const reading *r, const table *t, const char *name,
                 dsc_err *err)
{
    dsc_dataset *d = NULL;

    if (!dsc_dataset_new(&d, t->rows - t->first, r->features, false, err))
        return false;
    if (!fill(d, r, t, name, err)) {
        dsc_dataset_free(d);
        return false;
    }
    *out = d;
    return true;
}

/* --- the format --- */

static const char *ending_of(const char *path)
{
    const char *const dot = strrchr(path, '.');

    return dot ? dot : "";
}

static bool is_there(const char *path, dsc_part part)
{
    static const char *const endings[] = {".csv", ".data", ".tra"};

    for (int i = 0; i < 3; i++)
        if (strcmp(ending_of(path), endings[i]) == 0)
            return part == DSC_PART_TRAIN || i == 2;
    return false;
}

/* The .tes beside a .tra. */
static bool load_test(reading *r, const char *path, const char *name, dsc_err *err)
{
    char beside[PATH_BYTES];

    if (snprintf(beside, sizeof beside, "%s", path) >= (int)sizeof beside)
        return dsc_fail(err, DSC_EINVAL, name, "has too long a path");
    memcpy(beside + strlen(beside) - strlen(".tra"), ".tes", 4);
    if (!load(&r->test, beside, err))
        return false;
    return r->test.columns == r->train.columns ||
           dsc_fail(err, DSC_EINVAL, name, "has %zu columns, its test part %zu", r->train.columns,
                    r->test.columns);
}

static bool read_part(dsc_dataset **out, const char *path, dsc_part part, const char *target,
                      dsc_err *err)
{
    const char *const slash = strrchr(path, '/'), *const name = slash ? slash + 1 : path;
    reading r = {.column = NULL};
    const bool ok = load(&r.train, path, err) && find_target(&r, target, name, err) &&
                    find_columns(&r, name, err) &&
                    (part == DSC_PART_TRAIN || load_test(&r, path, name, err)) &&
                    make(out, &r, part == DSC_PART_TRAIN ? &r.train : &r.test, name, err);

    for (size_t i = 0; r.column && i < r.train.columns; i++)
        free(r.column[i].word);
    free(r.column);
    release(&r.train);
    release(&r.test);
    return ok;
}

const dsc_dataset_format dsc_dataset_csv = {"csv", is_there, read_part};
