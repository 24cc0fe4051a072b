/* test_collection.c -- datasets: uploaded, kept by content, found in a folder, tidied after a crash
 *
 * Also upload.c, collection_scan.c and store_dataset.c. */
#include "server/collection.h"
#include "server/fault.h"
#include "server/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct room {
    char dir[64], folder[80]; /* the server's data; a folder of datasets */
    struct store *store;
    struct collection *collection;
    dsc_arena arena;
};

static void collection_start(struct room *room, bool folder)
{
    assert_true(collection_open(
        &room->collection,
        &(struct collection_means) {
            .dir = room->dir, .data_dir = folder ? room->folder : NULL, .store = room->store},
        NULL));
}

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    *state = room;
    assert_true(sodium_init() >= 0);
    strcpy(room->dir, "/tmp/descent-data-XXXXXX");
    assert_non_null(mkdtemp(room->dir));
    snprintf(room->folder, sizeof room->folder, "%s/folder", room->dir);
    assert_int_equal(mkdir(room->folder, 0700), 0);
    assert_true(store_open(&room->store, room->dir, NULL));
    dsc_arena_init(&room->arena, LIMIT_ARENA_BYTES);
    return 0;
}

/* Two floors are all that a test makes. */
static void remove_tree(const char *path)
{
    DIR *const dir = opendir(path);
    char inner[512];

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (unlink(inner) != 0)
            remove_tree(inner);
    }
    closedir(dir);
    assert_int_equal(rmdir(path), 0);
}

static int tear_down(void **state)
{
    struct room *const room = *state;

    collection_close(room->collection);
    store_close(room->store);
    dsc_arena_release(&room->arena);
    remove_tree(room->dir);
    free(room);
    return 0;
}

/* --- uploads --- */

static struct dataset_file_row upload(struct room *room, const char *dataset, const char *file,
                                      const char *bytes, bool replaces)
{
    struct upload *up;
    struct dataset_file_row row;
    const size_t half = strlen(bytes) / 2;
    bool replaced = !replaces;

    assert_true(upload_open(&up, room->collection, dataset, file, NULL));
    assert_true(upload_write(up, bytes, half, NULL));
    assert_true(upload_write(up, bytes + half, strlen(bytes) - half, NULL));
    assert_true(upload_finish(up, &row, &replaced, NULL));
    assert_int_equal(replaced, replaces);
    row.name = dsc_arena_text(&room->arena, row.name, strlen(row.name));
    row.sha256 = dsc_arena_text(&room->arena, row.sha256, strlen(row.sha256));
    upload_free(up);
    return row;
}

static void refuse_upload(struct room *room, const char *dataset, const char *file, int code)
{
    struct upload *up;
    dsc_err err = {0};

    assert_false(upload_open(&up, room->collection, dataset, file, &err));
    assert_null(up);
    assert_int_equal(err.code, code);
}

static struct dataset find(struct room *room, const char *name)
{
    struct dataset dataset;

    assert_true(collection_find(room->collection, name, &dataset, &room->arena, NULL));
    return dataset;
}

static void expect_bytes(const char *path, const char *bytes)
{
    char got[256];
    FILE *const file = fopen(path, "rb");

    assert_non_null(file);
    got[fread(got, 1, sizeof got - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(got, bytes);
}

static size_t count_stored(const struct room *room)
{
    char path[128];
    size_t count = 0;

    snprintf(path, sizeof path, "%s/datasets", room->dir);
    DIR *const dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void test_upload(void **state)
{
    struct room *const room = *state;

    collection_start(room, false);
    const struct dataset_file_row row = upload(room, "mine", "b.csv", "1,2\n3,4\n", false);
    assert_string_equal(row.name, "b.csv");
    assert_int_equal(row.size_bytes, 8);
    upload(room, "mine", "a.csv", "5,6\n", false);
    const struct dataset mine = find(room, "mine");
    assert_int_equal(mine.files, 2);
    assert_string_equal(mine.file[0].name, "a.csv");
    assert_string_equal(mine.file[1].sha256, row.sha256);
    assert_string_equal(mine.format, "");
    assert_true(mine.created_at > 0 && mine.committed_at == 0 && !mine.read_only);
    expect_bytes(mine.file[0].path, "5,6\n");
    expect_bytes(mine.file[1].path, "1,2\n3,4\n");
}

static void test_an_empty_file(void **state)
{
    struct room *const room = *state;

    collection_start(room, false);
    assert_string_equal(upload(room, "mine", "a", "", false).sha256,
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* A file is kept as long as some dataset has it, and goes with the last one. */
static void test_kept_by_content(void **state)
{
    struct room *const room = *state;

    collection_start(room, false);
    upload(room, "one", "a", "same", false);
    upload(room, "two", "b", "same", false);
    assert_int_equal(count_stored(room), 1);
    upload(room, "one", "a", "other", true);
    assert_int_equal(count_stored(room), 2);
    upload(room, "one", "a", "third", true);
    assert_int_equal(count_stored(room), 2);
    upload(room, "one", "a", "third", true); /* itself */
    expect_bytes(find(room, "one").file[0].path, "third");
    assert_true(collection_delete(room->collection, "one", NULL));
    assert_int_equal(count_stored(room), 1);
    expect_bytes(find(room, "two").file[0].path, "same");
    assert_true(collection_delete(room->collection, "two", NULL));
    assert_int_equal(count_stored(room), 0);
}

static void test_names(void **state)
{
    static const char *const names[] = {"", "Mine", ".mine", "a/b", "mine "};
    static const char *const files[] = {"", ".", "..", ".hidden", "a/b", "-a", "a b", "\xc3\xa4"};
    struct room *const room = *state;
    char longest[81];

    collection_start(room, false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        refuse_upload(room, names[i], "a", FAULT_INVALID_VALUE);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        refuse_upload(room, "mine", files[i], FAULT_INVALID_VALUE);
    memset(longest, 'a', 80);
    longest[80] = '\0';
    refuse_upload(room, "mine", longest, FAULT_INVALID_VALUE);
    longest[79] = '\0';
    upload(room, "mine", longest, "x", false);
}

static void test_unfinished(void **state)
{
    struct room *const room = *state;
    struct upload *up;
    struct dataset dataset;
    dsc_err err = {0};

    collection_start(room, false);
    assert_true(upload_open(&up, room->collection, "mine", "a", NULL));
    assert_true(upload_write(up, "bytes", 5, NULL));
    assert_int_equal(count_stored(room), 1);
    upload_free(up);
    assert_int_equal(count_stored(room), 0);
    assert_false(collection_find(room->collection, "mine", &dataset, &room->arena, &err));
    assert_int_equal(err.code, FAULT_NOT_FOUND);
}

/* What a crash leaves: an upload on its way, and a whole file whose row was not written. */
static void test_tidied(void **state)
{
    struct room *const room = *state;
    char path[256], name[65];

    collection_start(room, false);
    upload(room, "mine", "a", "kept", false);
    collection_close(room->collection);
    snprintf(path, sizeof path, "%s/datasets/upload-abcdef", room->dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    memset(name, '0', 64);
    name[64] = '\0';
    snprintf(path, sizeof path, "%s/datasets/%s", room->dir, name);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(count_stored(room), 3);
    collection_start(room, false);
    assert_int_equal(count_stored(room), 1);
    expect_bytes(find(room, "mine").file[0].path, "kept");
}

static void test_many_files(void **state)
{
    struct room *const room = *state;
    struct dataset_file_row row;
    struct upload *up;
    bool replaced;
    dsc_err err = {0};
    char name[16];

    collection_start(room, false);
    for (int i = 0; i < LIMIT_DATASET_FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        upload(room, "mine", name, "x", false);
    }
    assert_true(upload_open(&up, room->collection, "mine", "more", NULL));
    assert_false(upload_finish(up, &row, &replaced, &err));
    assert_int_equal(err.code, FAULT_QUOTA_EXCEEDED);
    upload_free(up);
    assert_int_equal(find(room, "mine").files, LIMIT_DATASET_FILES);
}

/* --- committed, and read --- */

static bool commit(struct room *room, const char *name, enum dataset_format format,
                   const char *target, dsc_err *err)
{
    struct dataset dataset;

    *err = (dsc_err) {.code = DSC_OK};
    return collection_commit(room->collection, name, format, target, &dataset, &room->arena, err);
}

static void test_committed(void **state)
{
    struct room *const room = *state;
    dsc_dataset *read = NULL;
    dsc_err err = {0};
    float x[2];

    collection_start(room, false);
    upload(room, "mine", "train.csv", "a,b,class\n1,2,no\n3,4,yes\n", false);
    assert_false(collection_read(room->collection, "mine", &read, &err));
    assert_int_equal(err.code, FAULT_INVALID_VALUE);
    assert_false(commit(room, "mine", DATASET_IDX, "", &err));
    assert_int_equal(err.code, FAULT_INVALID_VALUE);
    assert_string_equal(err.where, "format");
    assert_false(commit(room, "mine", DATASET_CSV, "nothing", &err));
    assert_int_equal(err.code, FAULT_INVALID_VALUE);
    assert_int_equal(count_stored(room), 1); /* nothing was left behind */
    upload(room, "mine", "train.csv", "a,b,class\n1,2,no\n5,4,yes\n", true);
    assert_true(commit(room, "mine", DATASET_CSV, "class", &err));
    assert_string_equal(find(room, "mine").format, "csv");
    assert_true(commit(room, "mine", DATASET_CSV, "class", &err)); /* again */
    assert_false(commit(room, "mine", DATASET_CSV, "a", &err));
    assert_int_equal(err.code, FAULT_INVALID_STATE);
    refuse_upload(room, "mine", "more.csv", FAULT_INVALID_STATE);

    collection_close(room->collection);
    collection_start(room, false);
    assert_true(collection_read(room->collection, "mine", &read, NULL));
    assert_int_equal(read->rows, 2);
    assert_int_equal(read->features, 2);
    assert_int_equal(read->classes, 2);
    dsc_dataset_row(read, 1, x);
    dsc_dataset_free(read);
    assert_true(collection_delete(room->collection, "mine", NULL));
    assert_int_equal(count_stored(room), 0);
}

/* Files that a format wants by name, found again though they are kept by content. */
static void test_idx(void **state)
{
    static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 255},
                               labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 1};
    struct room *const room = *state;
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
    dsc_dataset *read;
    dsc_err err = {0};

    collection_start(room, false);
    for (int i = 0; i < 2; i++) {
        struct upload *up;
        struct dataset_file_row row;
        bool replaced;
        assert_true(upload_open(&up, room->collection, "tiny", names[i], NULL));
        assert_true(upload_write(up, i ? labels : images, i ? sizeof labels : sizeof images, NULL));
        assert_true(upload_finish(up, &row, &replaced, NULL));
        upload_free(up);
    }
    if (!commit(room, "tiny", DATASET_IDX, "", &err))
        fail_msg("%s: %s", err.where, err.text);
    assert_true(collection_read(room->collection, "tiny", &read, NULL));
    assert_int_equal(read->rows, 2);
    assert_int_equal(read->features, 1);
    dsc_dataset_free(read);
}

/* --- a folder --- */

static void make_file(const struct room *room, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", room->folder, name);
    char *const slash = strrchr(path, '/');
    *slash = '\0';
    (void)mkdir(path, 0700);
    *slash = '/';
    FILE *const file = fopen(path, "wb");
    assert_non_null(file);
    fputs("0123456789", file);
    fclose(file);
}

static void test_folder(void **state)
{
    static const char *const made[] = {
        "mnist/train-images-idx3-ubyte.gz",
        "mnist/train-labels-idx1-ubyte",
        "mnist/LICENSE",
        "cifar-10/data_batch_1.bin.gz",
        "tabular/digits.tra",
        "tabular/digits.tes",
        "tabular/digits.names",
        "tabular/adult.csv",
        "top.csv.gz",
        "waves/a.npy",
        "Capital/a.npy",
        "README.md",
        ".hidden/a.npy",
        "mnist/deep/a.npy",
    };
    static const struct {
        const char *name, *format;
        size_t files;
    } want[] = {{"adult", "csv", 1}, {"cifar-10", "cifar", 1}, {"digits", "csv", 2},
                {"mnist", "idx", 2}, {"top", "csv", 1},        {"waves", "npy", 1}};
    enum { WANT = sizeof want / sizeof *want };
    struct room *const room = *state;
    struct dataset *list;
    size_t count;
    bool more;
    dsc_err err = {0};

    char deep[128];
    snprintf(deep, sizeof deep, "%s/mnist", room->folder);
    assert_int_equal(mkdir(deep, 0700), 0);
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        make_file(room, made[i]);
    collection_start(room, true);
    assert_true(
        collection_list(room->collection, NULL, 100, &list, &count, &more, &room->arena, NULL));
    assert_int_equal(count, WANT);
    for (size_t i = 0; i < WANT; i++) {
        assert_string_equal(list[i].name, want[i].name);
        assert_string_equal(list[i].format, want[i].format);
        assert_int_equal(list[i].files, want[i].files);
        assert_true(list[i].read_only);
        assert_int_equal(list[i].file[0].size_bytes, 10);
        expect_bytes(list[i].file[0].path, "0123456789");
    }
    assert_string_equal(find(room, "digits").file[0].name, "digits.tes");
    assert_false(collection_delete(room->collection, "mnist", &err));
    assert_int_equal(err.code, FAULT_BUILTIN_PROTECTED);
    refuse_upload(room, "mnist", "a", FAULT_BUILTIN_PROTECTED);
}

/* Pages of both kinds, one after the other by name. */
static void test_pages(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct room *const room = *state;
    struct dataset *list;
    const char *after = NULL;
    size_t count, seen = 0;
    bool more = true;

    make_file(room, "b.csv");
    make_file(room, "d.csv");
    collection_start(room, false);
    for (size_t i = 0; i < 5; i++)
        upload(room, names[i], "x", "y", false); /* b and d will be hidden */
    collection_close(room->collection);
    collection_start(room, true);
    while (more) {
        assert_true(
            collection_list(room->collection, after, 2, &list, &count, &more, &room->arena, NULL));
        assert_int_equal(count, seen < 4 ? 2 : 1);
        for (size_t i = 0; i < count; i++, seen++) {
            assert_string_equal(list[i].name, names[seen]);
            assert_int_equal(list[i].read_only, seen == 1 || seen == 3);
        }
        after = list[count - 1].name;
    }
    assert_int_equal(seen, 5);
}

static void test_no_folder(void **state)
{
    struct room *const room = *state;
    dsc_err err = {0};

    assert_false(collection_open(
        &room->collection,
        &(struct collection_means) {.dir = room->dir, .data_dir = "/no/such", .store = room->store},
        &err));
    assert_int_equal(err.code, FAULT_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_upload, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_empty_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kept_by_content, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unfinished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tidied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_committed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_idx, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_folder, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
