/* test_config.c -- who wins, what is refused and with which words, and that what is printed reads
 * back */
#include "server/config.h"
#include "server/fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const names[] = {"listen",  "data",      "require-keys", "api-key",
                                    "threads", "log-level", "url",          NULL};

static struct config config;
static dsc_err err;
static char dir[] = "/tmp/descent-config-XXXXXX";

static int start(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    return rmdir(dir);
}

static int before(void **state)
{
    (void)state;
    for (const struct option *row = config_options; row->name; row++) {
        char name[64], by_file[80];
        config_variable(row, name);
        snprintf(by_file, sizeof by_file, "%s_FILE", name);
        unsetenv(name);
        unsetenv(by_file);
    }
    unsetenv("DESCENT_CONFIG");
    err = (dsc_err) {0};
    return 0;
}

/* Arguments as one text with blanks between. */
static bool read_words(const char *text, const char *argument)
{
    static char words[512];
    char *argv[32], *rest = words;
    int argc = 0;

    snprintf(words, sizeof words, "%s", text);
    for (char *word; (word = strtok_r(rest, " ", &rest));)
        argv[argc++] = word;
    return config_read(&config, names, argument, argc, argv, &err);
}

static const char *path_of(const char *name)
{
    static char path[2][128];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static bool read_conf(const char *text)
{
    char words[160];

    write_file("c.conf", text, strlen(text));
    snprintf(words, sizeof words, "--config %s", path_of("c.conf"));
    bool ok = read_words(words, NULL);
    unlink(path_of("c.conf"));
    return ok;
}

static void test_defaults(void **state)
{
    (void)state;
    assert_true(read_words("", NULL));
    assert_string_equal(config.listen.host, "127.0.0.1");
    assert_int_equal(config.listen.port, 8080);
    assert_true(config.listen.loopback);
    assert_string_equal(config.data, ".descent");
    assert_int_equal(config.log_level, LOG_INFO);
    assert_false(config.require_keys);
    assert_null(config.api_key);
    config_release(&config);
}

static void test_flag_wins_over_environment_wins_over_file(void **state)
{
    static const char lines[] = "data = file\nthreads = 3 # of four\nlog-level=warn";
    char words[200];

    (void)state;
    write_file("p.conf", lines, strlen(lines));
    setenv("DESCENT_DATA", "environment", 1);
    setenv("DESCENT_THREADS", "4", 1);
    snprintf(words, sizeof words, "--data flag --config=%s", path_of("p.conf"));
    assert_true(read_words(words, NULL));
    assert_string_equal(config.data, "flag");
    assert_int_equal(config.threads, 4);
    assert_int_equal(config.log_level, LOG_WARN);
    config_release(&config);

    setenv("DESCENT_CONFIG", path_of("p.conf"), 1);
    setenv("DESCENT_THREADS", "", 1); /* as if it were not there */
    assert_true(read_words("--data first --data=last --require-keys", NULL));
    assert_string_equal(config.data, "last");
    assert_int_equal(config.threads, 3);
    assert_true(config.require_keys);
    config_release(&config);
    unlink(path_of("p.conf"));
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *host;
        bool loopback;
    } good[] = {
        {"127.0.0.1:0", "127.0.0.1", true},
        {"127.9.8.7:1", "127.9.8.7", true},
        {"0.0.0.0:80", "0.0.0.0", false},
        {"[::1]:65535", "::1", true},
        {"[::]:80", "::", false},
        {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", true},
        {"192.0.2.1:80", "192.0.2.1", false},
    };
    static const char *const bad[] = {
        "8080",           ":8080",    "127.0.0.1",       "127.0.0.1:",   "127.0.0.1:65536",
        "127.0.0.1:8x",   "127.1:80", "127.evil.org:80", "localhost:80", "::1:80",
        "[127.0.0.1]:80", "[::1:80",  "[]:80",           "127.0.0.1:-1", "127.0.0.1:000080",
    };
    char words[128];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(words, sizeof words, "--listen %s", good[i].text);
        assert_true(read_words(words, NULL));
        assert_string_equal(config.listen.host, good[i].host);
        assert_int_equal(config.listen.loopback, good[i].loopback);
        config_release(&config);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (dsc_err) {0};
        snprintf(words, sizeof words, "--listen %s", bad[i]);
        assert_false(read_words(words, NULL));
        assert_int_equal(err.code, FAULT_INVALID_VALUE);
        assert_string_equal(err.where, "--listen");
        assert_non_null(strstr(err.text, bad[i]));
        config_release(&config);
    }
}

static void refuse(bool ok, const char *where, const char *text)
{
    assert_false(ok);
    assert_int_equal(err.code, FAULT_INVALID_VALUE);
    assert_string_equal(err.where, where);
    assert_non_null(strstr(err.text, text));
    config_release(&config);
    err = (dsc_err) {0};
}

static void test_wrong_flags(void **state)
{
    (void)state;
    refuse(read_words("--lisen 127.0.0.1:1", NULL), "--lisen", "did you mean --listen?");
    refuse(read_words("--kernel plain", NULL), "--kernel", "is no option"); /* not this command's */
    refuse(read_words("-x", NULL), "-x", "is no option");
    refuse(read_words("--", NULL), "--", "is no option");
    refuse(read_words("--data", NULL), "--data", "missing");
    refuse(read_words("--config", NULL), "--config", "missing");
    refuse(read_words("more", NULL), "more", "too many");
    refuse(read_words("a b", "SPEC.json"), "b", "too many");
    refuse(read_words("", "SPEC.json"), "SPEC.json", "is missing");
    refuse(read_words("--threads -1", NULL), "--threads", "[0, 1024], not \"-1\"");
    refuse(read_words("--threads 1025", NULL), "--threads", "\"1025\"");
    refuse(read_words("--threads 99999999999999999999", NULL), "--threads", "[0, 1024]");
    refuse(read_words("--threads=", NULL), "--threads", "\"\"");
    refuse(read_words("--log-level debugg", NULL), "--log-level", "did you mean debug?");
    refuse(read_words("--require-keys=maybe", NULL), "--require-keys", "\"maybe\"");
    refuse(read_words("--api-key s3cret", NULL), "--api-key", "list of processes");
    assert_true(read_words("one", "SPEC.json"));
    assert_string_equal(config.argument, "one");
    config_release(&config);
}

static void test_wrong_files(void **state)
{
    (void)state;
    refuse(read_conf("# all is well\n\nlistn = 127.0.0.1:1\n"), "c.conf:3: listn",
           "did you mean listen?");
    refuse(read_conf("url = http://x\n"), "c.conf:1: url", "is no option"); /* of one call */
    refuse(read_conf("listen 127.0.0.1:1"), "c.conf:1", "name = value");
    refuse(read_conf("threads = 1\nthreads = 2\n"), "c.conf:2", "twice");
    refuse(read_conf("threads = many"), "c.conf:1", "\"many\"");
    write_file("n.conf", "data = a\0b", 10);
    setenv("DESCENT_CONFIG", path_of("n.conf"), 1);
    refuse(read_words("", NULL), "DESCENT_CONFIG", "NUL");
    unlink(path_of("n.conf"));
    assert_false(read_words("", NULL));
    assert_int_equal(err.code, FAULT_INTERNAL); /* a failure, not wrong usage */
    assert_non_null(strstr(err.text, "No such file"));
    config_release(&config);
}

static void test_a_large_file_is_refused(void **state)
{
    static char text[(64 << 10) + 1];

    (void)state;
    memset(text, '\n', sizeof text);
    write_file("l.conf", text, sizeof text - 1);
    setenv("DESCENT_CONFIG", path_of("l.conf"), 1);
    assert_true(read_words("", NULL));
    config_release(&config);
    write_file("l.conf", text, sizeof text);
    refuse(read_words("", NULL), "DESCENT_CONFIG", "larger");
    unlink(path_of("l.conf"));
}

static void test_secrets(void **state)
{
    char words[160];

    (void)state;
    write_file("key", "from-a-file\r\n", 13);
    snprintf(words, sizeof words, "--api-key-file %s", path_of("key"));
    setenv("DESCENT_API_KEY", "from-the-environment", 1);
    assert_true(read_words(words, NULL));
    assert_string_equal(config.api_key, "from-a-file");
    config_release(&config);
    setenv("DESCENT_API_KEY_FILE", path_of("key"), 1);
    refuse(read_words("", NULL), "DESCENT_API_KEY", "both");
    unsetenv("DESCENT_API_KEY");
    assert_true(read_words("", NULL));
    assert_string_equal(config.api_key, "from-a-file");
    config_release(&config);
    write_file("key", "two\nlines\n", 10);
    refuse(read_words("", NULL), "DESCENT_API_KEY_FILE", "one line");
    unlink(path_of("key"));
}

static void print(char *out, size_t size)
{
    FILE *file = fmemopen(out, size, "w");
    assert_non_null(file);
    config_print(&config, names, file);
    assert_int_equal(fclose(file), 0);
}

/* What is printed is a file that gives the same settings, and never has the secret in it. */
static void test_print_reads_back(void **state)
{
    char first[2048], second[2048];

    (void)state;
    setenv("DESCENT_API_KEY", "hunter2-hunter2", 1);
    assert_true(read_words("--listen [::1]:81 --threads 7 --require-keys", NULL));
    print(first, sizeof first);
    config_release(&config);
    assert_non_null(strstr(first, "# flag"));
    assert_non_null(strstr(first, "# default"));
    assert_non_null(strstr(first, "api-key is set"));
    assert_null(strstr(first, "hunter2"));

    unsetenv("DESCENT_API_KEY");
    assert_true(read_conf(first));
    assert_string_equal(config.listen.host, "::1");
    assert_int_equal(config.threads, 7);
    assert_true(config.require_keys);
    print(second, sizeof second);
    config_release(&config);
    assert_null(strstr(second, "# default")); /* every line came from the file */
}

static void test_every_row_is_sound(void **state)
{
    (void)state;
    for (const struct option *row = config_options; row->name; row++) {
        assert_non_null(row->doc);
        assert_true(row->kind == OPTION_FLAG || row->kind == OPTION_SECRET || row->value);
        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(row->name));
        for (const struct option *other = config_options; other != row; other++)
            assert_string_not_equal(other->name, row->name);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, before)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_flag_wins_over_environment_wins_over_file),
        TEST(test_addresses),
        TEST(test_wrong_flags),
        TEST(test_wrong_files),
        TEST(test_a_large_file_is_refused),
        TEST(test_secrets),
        TEST(test_print_reads_back),
        TEST(test_every_row_is_sound),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
