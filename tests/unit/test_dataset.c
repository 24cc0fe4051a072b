/* test_dataset.c -- every format there and back, and files that lie */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

static char dir[] = "/tmp/descent-dataset-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
    FILE *const file = fopen(path_of(name), "wb");

    assert_true(file && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static void write_gz(const char *name, const void *bytes, size_t len)
{
    gzFile const file = gzopen(path_of(name), "wb");

    assert_true(file && gzwrite(file, bytes, (unsigned)len) == (int)len && gzclose(file) == Z_OK);
}

static void make_folder(const char *name)
{
    assert_int_equal(mkdir(path_of(name), 0700), 0);
}

static dsc_dataset *read_it(const char *name, dsc_part part, const char *target)
{
    dsc_dataset *dataset = NULL;
    dsc_err err = {0};

    if (!dsc_dataset_read(&dataset, path_of(name), part, target, &err))
        fail_msg("%s: %s: %s", name, err.where, err.text);
    return dataset;
}

static void refuse(const char *name, dsc_part part, const char *target, const char *what)
{
    dsc_dataset *dataset = NULL;
    dsc_err err = {0};

    if (dsc_dataset_read(&dataset, path_of(name), part, target, &err) || !strstr(err.text, what))
        fail_msg("%s: %s: %s, where \"%s\" was expected", name, err.where, err.text, what);
    assert_null(dataset);
}

/* --- IDX --- */

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,  0,  0,
                                       0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 4, 0};

static void test_idx(void **state)
{
    dsc_real x[6];

    (void)state;
    make_folder("idx");
    write_file("idx/train-images-idx3-ubyte", images, sizeof images);
    write_gz("idx/train-labels-idx1-ubyte.gz", labels, sizeof labels);
    dsc_dataset *const d = read_it("idx", DSC_PART_TRAIN, NULL);
    assert_true(d->rows == 2 && d->features == 6 && d->classes == 5);
    assert_true(d->image.channels == 1 && d->image.height == 2 && d->image.width == 3);
    assert_true(d->targets[0] == 4 && d->targets[1] == 0);
    dsc_dataset_row(d, 1, x);
    assert_true(fabs((double)x[0] - 7.0 / 255) < 1e-7 && x[5] == 1);
    dsc_dataset_free(d);
    refuse("idx", DSC_PART_TEST, NULL, "holds no test part");
}

static void test_subset(void **state)
{
    static const double four[] = {4}, both[] = {0, 4}, twice[] = {0, 0}, beyond[] = {5};
    dsc_dataset *const d = read_it("idx", DSC_PART_TRAIN, NULL), *part = NULL;
    dsc_err err = {0};

    (void)state;
    assert_true(dsc_dataset_subset(&part, d, four, 1, NULL));
    assert_true(part->rows == 1 && part->classes == 1 && part->targets[0] == 0);
    assert_true(part->bytes[0] == 1 && part->image.width == 3);
    dsc_dataset_free(part);
    assert_true(dsc_dataset_subset(&part, d, both, 2, NULL));
    assert_true(part->rows == 2 && part->targets[0] == 1 && part->targets[1] == 0);
    dsc_dataset_free(part);
    assert_false(dsc_dataset_subset(&part, d, twice, 2, NULL));
    assert_false(dsc_dataset_subset(&part, d, four + 0, 0, NULL));
    assert_false(dsc_dataset_subset(&part, d, beyond, 1, &err));
    assert_string_equal(err.text, "5 is none of the 5 classes");
    dsc_dataset_free(d);
}

/* Each byte of the headers changed, and every way to be cut off. */
static void test_idx_lies(void **state)
{
    unsigned char bytes[sizeof images + 1];

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        memcpy(bytes, images, sizeof images);
        bytes[i] ^= 0x81;
        write_file("idx/train-images-idx3-ubyte", bytes, sizeof images);
        refuse("idx", DSC_PART_TRAIN, NULL, "");
    }
    for (size_t len = 0; len <= sizeof images + 1; len++) {
        memcpy(bytes, images, sizeof images);
        write_file("idx/train-images-idx3-ubyte", bytes, len);
        if (len != sizeof images)
            refuse("idx", DSC_PART_TRAIN, NULL, "");
    }
    memcpy(bytes, images, sizeof images);
    memset(bytes + 4, 255, 12); /* the product of the three overflows */
    write_file("idx/train-images-idx3-ubyte", bytes, sizeof images);
    refuse("idx", DSC_PART_TRAIN, NULL, "dimensions that are too large");
    write_file("idx/train-images-idx3-ubyte", images, sizeof images);
    write_gz("idx/train-labels-idx1-ubyte.gz", "\0\0\x08\x01\0\0\0\x01\x04", 9);
    refuse("idx", DSC_PART_TRAIN, NULL, "has 1 labels for 2 images");
}

/* A gzip that was cut off, or whose bytes changed. */
static void test_gzip_lies(void **state)
{
    unsigned char bytes[256], text[5000];
    size_t len;

    (void)state;
    make_folder("gz");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(i * i >> 7);
    write_file("gz/train-images-idx3-ubyte", images, sizeof images);
    write_gz("gz/train-labels-idx1-ubyte.gz", labels, sizeof labels);
    FILE *const file = fopen(path_of("gz/train-labels-idx1-ubyte.gz"), "rb");
    len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t cut = 3; cut < len; cut++) {
        write_file("gz/train-labels-idx1-ubyte.gz", bytes, cut);
        refuse("gz", DSC_PART_TRAIN, NULL, "");
    }
    bytes[len - 6] ^= 1; /* the checksum */
    write_file("gz/train-labels-idx1-ubyte.gz", bytes, len);
    refuse("gz", DSC_PART_TRAIN, NULL, "is damaged, or cut off");
}

/* --- CIFAR-10 --- */

static void test_cifar(void **state)
{
    static unsigned char records[2 * 3073 + 1];

    (void)state;
    make_folder("cifar");
    records[0] = 9;
    records[1] = 255;
    records[3073] = 3;
    records[2 * 3073 - 1] = 51;
    write_file("cifar/data_batch_1.bin", records, 3073);
    write_gz("cifar/data_batch_3.bin.gz", records + 3073, 3073);
    dsc_dataset *const d = read_it("cifar", DSC_PART_TRAIN, NULL);
    assert_true(d->rows == 2 && d->features == 3072 && d->classes == 10);
    assert_true(d->image.channels == 3 && d->image.height == 32);
    assert_true(d->targets[0] == 9 && d->targets[1] == 3);
    assert_true(d->bytes[0] == 255 && d->bytes[2 * 3072 - 1] == 51);
    dsc_dataset_free(d);
    write_file("cifar/data_batch_1.bin", records, 3072);
    refuse("cifar", DSC_PART_TRAIN, NULL, "has 3072 bytes, which are no records of 3073");
    records[0] = 10;
    write_file("cifar/data_batch_1.bin", records, 3073);
    refuse("cifar", DSC_PART_TRAIN, NULL, "record 0 has the label 10, beyond 9");
}

/* --- npy, npz --- */

static size_t npy(unsigned char *to, const char *header, const void *numbers, size_t len)
{
    const size_t header_len = strlen(header);

    memcpy(to, "\x93NUMPY\x01\x00", 8);
    to[8] = (unsigned char)header_len;
    to[9] = 0;
    memcpy(to + 10, header, header_len);
    memcpy(to + 10 + header_len, numbers, len);
    return 10 + header_len + len;
}

#define NPY_X "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"
#define NPY_Y "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n"

static const float x_numbers[] = {1, 2, 3, -4, 5.5f, 6};
static const int64_t y_numbers[] = {1, 0};

static void test_npy(void **state)
{
    unsigned char bytes[512];

    (void)state;
    make_folder("npy");
    write_file("npy/x.npy", bytes, npy(bytes, NPY_X, x_numbers, sizeof x_numbers));
    write_file("npy/y.npy", bytes, npy(bytes, NPY_Y, y_numbers, sizeof y_numbers));
    dsc_dataset *const d = read_it("npy", DSC_PART_TRAIN, NULL);
    assert_true(d->rows == 2 && d->features == 3 && d->classes == 2 && d->image.channels == 0);
    assert_true(d->numbers[3] == -4 && d->numbers[4] == 5.5f && d->targets[0] == 1);
    dsc_dataset_free(d);
}

static void test_npy_lies(void **state)
{
    static const struct {
        const char *header;
        size_t len;
        const char *what;
    } rows[] = {
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", 24, "C order"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24, "little-endian"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3), }\n", 24, "little-endian"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }\n", 24, "little-endian"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }\n", 24, "does not match"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }\n", 24, "shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3\n", 24, "shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2), }\n", 24,
         "shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }\n", 24, "each of x's rows"},
        {"{}\n", 24, "little-endian"},
        {NPY_X, 23, "does not match"},
    };
    unsigned char bytes[512];
    float bad[6] = {1, 2, NAN};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        write_file("npy/x.npy", bytes, npy(bytes, rows[i].header, x_numbers, rows[i].len));
        refuse("npy", DSC_PART_TRAIN, NULL, rows[i].what);
    }
    write_file("npy/x.npy", bytes, npy(bytes, NPY_X, bad, sizeof bad));
    refuse("npy", DSC_PART_TRAIN, NULL, "row 0 has a number that is not finite");
    for (size_t len = 0; len < 16; len++) {
        (void)npy(bytes, NPY_X, x_numbers, sizeof x_numbers);
        write_file("npy/x.npy", bytes, len);
        refuse("npy", DSC_PART_TRAIN, NULL, "");
    }
}

/* Made by numpy.savez_compressed in the shape that it has: local headers, then the directory. */
static size_t put(unsigned char *to, size_t at, uint32_t x, int bytes)
{
    for (int i = 0; i < bytes; i++, x >>= 8)
        to[at + (size_t)i] = (unsigned char)x;
    return at + (size_t)bytes;
}

typedef struct {
    unsigned char bytes[2048];
    size_t len, local[2], packed[2], size[2];
} zip;

static void zip_member(zip *z, int i, const char *name, const unsigned char *data, size_t len)
{
    z_stream s = {.next_in = (unsigned char *)data, .avail_in = (uInt)len};
    unsigned char packed[1024];

    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    s.next_out = packed;
    s.avail_out = sizeof packed;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    z->packed[i] = s.total_out;
    z->size[i] = len;
    (void)deflateEnd(&s);
    z->local[i] = z->len;
    memset(z->bytes + z->len, 0, 30);
    (void)put(z->bytes, z->len, 0x04034b50, 4);
    (void)put(z->bytes, z->len + 26, (uint32_t)strlen(name), 2);
    memcpy(z->bytes + z->len + 30, name, strlen(name));
    memcpy(z->bytes + z->len + 30 + strlen(name), packed, z->packed[i]);
    z->len += 30 + strlen(name) + z->packed[i];
}

static void zip_end(zip *z)
{
    static const char *const names[] = {"x.npy", "y.npy"};
    const size_t directory = z->len;

    for (int i = 0; i < 2; i++) {
        memset(z->bytes + z->len, 0, 46);
        (void)put(z->bytes, z->len, 0x02014b50, 4);
        (void)put(z->bytes, z->len + 10, 8, 2);
        (void)put(z->bytes, z->len + 20, (uint32_t)z->packed[i], 4);
        (void)put(z->bytes, z->len + 24, (uint32_t)z->size[i], 4);
        (void)put(z->bytes, z->len + 28, 5, 2);
        (void)put(z->bytes, z->len + 42, (uint32_t)z->local[i], 4);
        memcpy(z->bytes + z->len + 46, names[i], 5);
        z->len += 51;
    }
    memset(z->bytes + z->len, 0, 22);
    (void)put(z->bytes, z->len, 0x06054b50, 4);
    (void)put(z->bytes, z->len + 10, 2, 2);
    (void)put(z->bytes, z->len + 16, (uint32_t)directory, 4);
    z->len += 22;
}

static void test_npz(void **state)
{
    unsigned char x[512], y[512];
    zip z = {.len = 0};

    (void)state;
    zip_member(&z, 0, "x.npy", x, npy(x, NPY_X, x_numbers, sizeof x_numbers));
    zip_member(&z, 1, "y.npy", y, npy(y, NPY_Y, y_numbers, sizeof y_numbers));
    zip_end(&z);
    write_file("a.npz", z.bytes, z.len);
    dsc_dataset *const d = read_it("a.npz", DSC_PART_TRAIN, NULL);
    assert_true(d->rows == 2 && d->numbers[4] == 5.5f && d->targets[0] == 1);
    dsc_dataset_free(d);
    for (size_t len = 0; len < z.len; len++) {
        write_file("a.npz", z.bytes, len);
        refuse("a.npz", DSC_PART_TRAIN, NULL, "");
    }
    for (size_t i = 0; i < z.len; i++) { /* any byte changed: read or refused, never worse */
        dsc_dataset *changed = NULL;
        z.bytes[i] ^= 0xff;
        write_file("a.npz", z.bytes, z.len);
        (void)!dsc_dataset_read(&changed, path_of("a.npz"), DSC_PART_TRAIN, NULL, NULL);
        dsc_dataset_free(changed);
        z.bytes[i] ^= 0xff;
    }
}

/* --- CSV --- */

static void test_csv(void **state)
{
    (void)state;
    write_text("a.csv",
               "size, colour ,age,kind\r\n1,red,?,yes\r\n\n3,\"bl,\"\"ue\",4,no\r\n5,?,,yes\n");
    dsc_dataset *d = read_it("a.csv", DSC_PART_TRAIN, NULL);
    assert_true(d->rows == 3 && d->features == 4 && d->classes == 2); /* size, 2 colours, age */
    assert_true(d->targets[0] == 1 && d->targets[1] == 0 && d->targets[2] == 1);
    assert_true(fabs((double)d->numbers[0] + sqrt(1.5)) < 1e-6); /* 1, 3, 5: mean 3, deviation .. */
    assert_true(d->numbers[1] == 0 && d->numbers[2] == 1);       /* "bl,"ue" comes before "red" */
    assert_true(d->numbers[5] == 1 && d->numbers[9] == 0 && d->numbers[10] == 0);
    assert_true(d->numbers[3] == 0 && d->numbers[7] == 0); /* age: the mean, and what is missing */
    dsc_dataset_free(d);
    d = read_it("a.csv", DSC_PART_TRAIN, "size");
    assert_true(d->features == 5 && d->classes == 6 && d->targets[2] == 5);
    refuse("a.csv", DSC_PART_TRAIN, "colour", "row 3 has no target");
    refuse("a.csv", DSC_PART_TRAIN, "shape", "has no column \"shape\"");
    dsc_dataset_free(d);
}

static void test_csv_parts(void **state)
{
    (void)state;
    write_text("b.tra", "1,2,0\n3,4,1\n");
    write_text("b.tes", "2,3,1\n");
    dsc_dataset *d = read_it("b.tra", DSC_PART_TEST, NULL);
    assert_true(d->rows == 1 && d->features == 2 && d->targets[0] == 1);
    assert_true(d->numbers[0] == 0 && d->numbers[1] == 0); /* the training part's means */
    dsc_dataset_free(d);
    d = read_it("b.tra", DSC_PART_TRAIN, NULL);
    assert_true(d->rows == 2 && d->classes == 2);
    dsc_dataset_free(d);
    write_text("c.csv", "1,2.5\n3,4.25\n"); /* numbers to predict */
    d = read_it("c.csv", DSC_PART_TRAIN, NULL);
    assert_true(d->classes == 0 && d->targets[1] == 4.25f);
    dsc_dataset_free(d);
}

static void test_csv_lies(void **state)
{
    (void)state;
    write_text("d.csv", "1,2,3\n4,5\n");
    refuse("d.csv", DSC_PART_TRAIN, NULL, "line 2 has not the 3 cells of the first one");
    write_text("d.csv", "1,2,3\n4,5,6,7\n");
    refuse("d.csv", DSC_PART_TRAIN, NULL, "line 2 has not the 3 cells");
    write_text("d.csv", "a,b\n");
    refuse("d.csv", DSC_PART_TRAIN, NULL, "has no rows");
    write_text("d.csv", "");
    refuse("d.csv", DSC_PART_TRAIN, NULL, "must have lines of 2");
    write_text("d.csv", "1\n2\n");
    refuse("d.csv", DSC_PART_TRAIN, NULL, "must have lines of 2");
    write_text("d.csv", "1,2\n3,?\n");
    refuse("d.csv", DSC_PART_TRAIN, NULL, "row 2 has no target");
    write_text("d.csv", "1,\"2\n3,4\n");
    refuse("d.csv", DSC_PART_TRAIN, NULL, "line 1 has a quote that never ends");
    write_file("d.csv", "1,2\n\0,3\n", 8);
    refuse("d.csv", DSC_PART_TRAIN, NULL, "NUL");
    refuse("nothing.csv", DSC_PART_TRAIN, NULL, "cannot be read");
    write_text("e.txt", "1,2\n");
    refuse("e.txt", DSC_PART_TRAIN, NULL, "holds no training part");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx),      cmocka_unit_test(test_subset),
        cmocka_unit_test(test_idx_lies), cmocka_unit_test(test_gzip_lies),
        cmocka_unit_test(test_cifar),    cmocka_unit_test(test_npy),
        cmocka_unit_test(test_npy_lies), cmocka_unit_test(test_npz),
        cmocka_unit_test(test_csv),      cmocka_unit_test(test_csv_parts),
        cmocka_unit_test(test_csv_lies),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
