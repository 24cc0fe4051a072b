/* dataset_npy.c -- NumPy's arrays, one a file or several in a zip
 *
 * .npy: "\x93NUMPY", version, the length of a header, the header (a Python dict as text: descr,
 * fortran_order, shape), then the numbers. .npz: a zip whose members are .npy files, stored or
 * deflated; only its central directory is believed. Sources: NumPy Enhancement Proposal 1; PKWARE's
 * APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
 *
 * x is [rows][features], or [rows][height][width], or [rows][height][width][channels]; unsigned
 * bytes of images stay bytes. y is [rows]; whole numbers are classes. */
#include "dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PATH_BYTES = 4096, RANK_MAX = 4, HEADER_MAX = 4096 };

static const char *const x_names[] = {"x.npy", "x_test.npy"};
static const char *const y_names[] = {"y.npy", "y_test.npy"};

/* --- one array --- */

typedef struct {
    unsigned char *bytes; /* owned: the whole file */
    size_t len;
    const unsigned char *data;
    char kind;   /* 'u', 'i', 'f', 'b' as in descr */
    size_t size; /* bytes of a number              */
    int rank;
    size_t shape[RANK_MAX], count;
} array;

static uint32_t little(const unsigned char *at, int bytes)
{
    uint32_t x = 0;

    for (int i = bytes; i-- > 0;)
        x = x << 8 | at[i];
    return x;
}

/* What follows `key` in the header: "'shape': (3, 4), ..." gives "(3, 4), ...". */
static const char *entry(const char *header, const char *key)
{
    const char *at = strstr(header, key);

    if (!at)
        return "";
    at += strlen(key);
    return at + strspn(at, "'\": ");
}

static bool read_shape(array *a, const char *at)
{
    a->count = 1;
    if (*at++ != '(')
        return false;
    while (*at && *at != ')') {
        char *end;
        const unsigned long long size = strtoull(at, &end, 10);

        if (end == at || *at == '-' || a->rank == RANK_MAX)
            return false;
        a->shape[a->rank++] = (size_t)size;
        if (__builtin_mul_overflow(a->count, (size_t)size, &a->count))
            return false;
        at = end + strspn(end, ", ");
    }
    return *at == ')';
}

/* "<f4": little-endian; bytes may have any order. */
static bool read_descr(array *a, const char *at)
{
    const char order = at[0];

    if (!order || !at[1])
        return false;
    a->kind = at[1];
    a->size = (size_t)(at[2] - '0');
    return strchr("uifb", a->kind) && (a->size == 1 || order == '<') &&
           (a->kind == 'f' ? a->size == 4 || a->size == 8
                           : a->size == 1 || a->size == 2 || a->size == 4 || a->size == 8);
}

static bool parse(array *a, const char *name, dsc_err *err)
{
    char header[HEADER_MAX + 1];
    size_t begin = 10, len, bytes;

    if (a->len < 12 || memcmp(a->bytes, "\x93NUMPY", 6) != 0)
        return dsc_fail(err, DSC_EINVAL, name, "does not begin like an npy file");
    len = little(a->bytes + 8, a->bytes[6] == 1 ? 2 : 4);
    begin = a->bytes[6] == 1 ? 10 : 12;
    if (len > HEADER_MAX || len > a->len - begin)
        return dsc_fail(err, DSC_EINVAL, name, "has a header of %zu bytes, beyond what is there",
                        len);
    memcpy(header, a->bytes + begin, len);
    header[len] = '\0';
    if (!read_descr(a, entry(header, "descr")))
        return dsc_fail(err, DSC_EINVAL, name,
                        "must hold little-endian whole numbers or floats of 4 or 8 bytes");
    if (strncmp(entry(header, "fortran_order"), "False", 5) != 0)
        return dsc_fail(err, DSC_EINVAL, name, "must have C order, not Fortran's");
    if (!read_shape(a, entry(header, "shape")))
        return dsc_fail(err, DSC_EINVAL, name, "must have a shape of 1 to %d sizes", RANK_MAX);
    if (__builtin_mul_overflow(a->count, a->size, &bytes) || bytes != a->len - begin - len)
        return dsc_fail(err, DSC_EINVAL, name, "its shape does not match the %zu bytes of numbers",
                        a->len - begin - len);
    a->data = a->bytes + begin + len;
    return true;
}

/* Number i of the array. */
static double number_at(const array *a, size_t i)
{
    const unsigned char *const at = a->data + i * a->size;
    int64_t whole = 0;
    double f64;
    float f32;

    if (a->kind == 'f' && a->size == 8)
        return memcpy(&f64, at, sizeof f64), f64;
    if (a->kind == 'f')
        return memcpy(&f32, at, sizeof f32), (double)f32;
    memcpy(&whole, at, a->size); /* little-endian, as this machine */
    if (a->kind == 'i' && a->size < 8 && (at[a->size - 1] & 0x80))
        whole -= (int64_t)1 << (8 * a->size);
    return a->kind == 'u' && a->size == 8 ? (double)(uint64_t)whole : (double)whole;
}

/* --- both arrays --- */

static void take_shape(dsc_dataset *to, const array *x)
{
    if (x->rank >= 3)
        to->image = (dsc_image) {x->rank == 4 ? x->shape[3] : 1, x->shape[1], x->shape[2]};
}

/* Where number `at` of a row of the file goes: channels come last there and first here. */
static size_t place(const dsc_image *image, size_t at)
{
    if (image->channels <= 1)
        return at;
    return at % image->channels * image->height * image->width + at / image->channels;
}

static bool take_x(dsc_dataset *to, const array *x, const char *name, dsc_err *err)
{
    take_shape(to, x);
    for (size_t row = 0; row < to->rows; row++)
        for (size_t i = 0; i < to->features; i++) {
            const double value = number_at(x, row * to->features + i);
            const size_t at = row * to->features + place(&to->image, i);

            if (to->bytes)
                to->bytes[at] = (uint8_t)value;
            else
                to->numbers[at] = (float)value;
            if (!to->bytes && !isfinite(to->numbers[at]))
                return dsc_fail(err, DSC_EINVAL, name, "row %zu has a number that is not finite",
                                row);
        }
    return true;
}

static bool take_y(dsc_dataset *to, const array *y, const char *name, dsc_err *err)
{
    for (size_t row = 0; row < to->rows; row++) {
        to->targets[row] = (float)number_at(y, row);
        if (!isfinite(to->targets[row]))
            return dsc_fail(err, DSC_EINVAL, name, "row %zu is not finite", row);
    }
    if (y->kind != 'f' && !dsc_dataset_classify(to))
        return dsc_fail(err, DSC_EINVAL, name, "its classes must be 0 to %d", DSC_CLASSES_MAX - 1);
    return true;
}

static bool join(dsc_dataset **out, const array *x, const array *y, const char *name, dsc_err *err)
{
    dsc_dataset *d = NULL;

    if (x->rank < 2 || x->shape[0] == 0 || y->count != x->shape[0])
        return dsc_fail(err, DSC_EINVAL, name, "must have a number for each of x's rows");
    if (!dsc_dataset_new(&d, x->shape[0], x->count / x->shape[0],
                         x->kind == 'u' && x->size == 1 && x->rank >= 3, err))
        return false;
    if (!take_x(d, x, name, err) || !take_y(d, y, name, err)) {
        dsc_dataset_free(d);
        return false;
    }
    *out = d;
    return true;
}

/* --- a zip --- */

/* The end of the central directory: at most 64 kB of comment may follow it. */
static const unsigned char *find_end(const unsigned char *zip, size_t len)
{
    for (size_t back = 22; back <= len && back <= 22 + 65535; back++)
        if (little(zip + len - back, 4) == 0x06054b50)
            return zip + len - back;
    return NULL;
}

/* Inflate, or copy, a member of `packed` bytes at `data`. */
static bool unpack(array *a, const unsigned char *data, size_t packed, size_t len, int method)
{
    z_stream z = {.next_in = (unsigned char *)data, .avail_in = (uInt)packed};
    bool ok;

    a->bytes = malloc(len + 1);
    a->len = len;
    if (!a->bytes)
        return false;
    if (method == 0)
        return packed == len && memcpy(a->bytes, data, len);
    if (method != 8 || inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return false;
    z.next_out = a->bytes;
    z.avail_out = (uInt)len;
    ok = inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == len;
    (void)inflateEnd(&z);
    return ok;
}

/* Entry `at` of the central directory; its local header says where the data begins. */
static bool take_member(array *a, const unsigned char *zip, size_t len, const unsigned char *at)
{
    const size_t packed = little(at + 20, 4), size = little(at + 24, 4);
    const size_t local = little(at + 42, 4);
    size_t data;

    if (local > len || len - local < 30 || little(zip + local, 4) != 0x04034b50 ||
        size > DSC_DATASET_BYTES)
        return false;
    data = local + 30 + little(zip + local + 26, 2) + little(zip + local + 28, 2);
    return data <= len && packed <= len - data && unpack(a, zip + data, packed, size, at[10]);
}

static bool find_member(array *a, const unsigned char *zip, size_t len, const char *name,
                        dsc_err *err)
{
    const unsigned char *const end = find_end(zip, len);
    const size_t members = end ? little(end + 10, 2) : 0;
    size_t at = end ? little(end + 16, 4) : 0;

    for (size_t i = 0; i < members && at < len && len - at >= 46; i++) {
        const size_t name_len = little(zip + at + 28, 2);

        if (little(zip + at, 4) != 0x02014b50 || name_len > len - at - 46)
            break;
        if (name_len == strlen(name) && memcmp(zip + at + 46, name, name_len) == 0)
            return take_member(a, zip, len, zip + at) ||
                   dsc_fail(err, DSC_EINVAL, name, "is damaged, or packed in a way not known");
        at += 46 + name_len + little(zip + at + 30, 2) + little(zip + at + 32, 2);
    }
    return dsc_fail(err, DSC_EINVAL, name, "is not in the npz file");
}

/* --- the format --- */

static bool is_npz(const char *path)
{
    const size_t len = strlen(path);

    return len > 4 && strcmp(path + len - 4, ".npz") == 0;
}

static bool is_there(const char *path, dsc_part part)
{
    char found[PATH_BYTES];

    return is_npz(path) || (dsc_dataset_find(found, sizeof found, path, x_names[part]) &&
                            dsc_dataset_find(found, sizeof found, path, y_names[part]));
}

static bool load(array *a, const char *dir, const char *name, dsc_err *err)
{
    char path[PATH_BYTES];

    return (dsc_dataset_find(path, sizeof path, dir, name) ||
            dsc_fail(err, DSC_EINVAL, name, "is not there")) &&
           dsc_dataset_slurp(&a->bytes, &a->len, path, err) && parse(a, name, err);
}

static bool load_both(array *x, array *y, const char *path, dsc_part part, dsc_err *err)
{
    unsigned char *zip = NULL;
    size_t len = 0;
    bool ok;

    if (!is_npz(path))
        return load(x, path, x_names[part], err) && load(y, path, y_names[part], err);
    ok = dsc_dataset_slurp(&zip, &len, path, err) && find_member(x, zip, len, x_names[part], err) &&
         find_member(y, zip, len, y_names[part], err) && parse(x, x_names[part], err) &&
         parse(y, y_names[part], err);
    free(zip);
    return ok;
}

static bool read_part(dsc_dataset **out, const char *path, dsc_part part, const char *target,
                      dsc_err *err)
{
    array x = {.bytes = NULL}, y = {.bytes = NULL};
    const bool ok = load_both(&x, &y, path, part, err) && join(out, &x, &y, y_names[part], err);

    (void)target;
    free(x.bytes);
    free(y.bytes);
    return ok;
}

const dsc_dataset_format dsc_dataset_npy = {"npy", is_there, read_part};
