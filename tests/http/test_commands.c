/* test_commands.c -- the program as a person at a terminal meets it: help, wrong usage, exit
 * statuses */
#include "tests/support/ran.h"
#include "tests/support/served.h"
#include <netdb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Every command that --help lists has a --help of its own with the exit statuses. */
static void test_help(void **state)
{
    static char list[16384];
    int commands = 0;

    (void)state;
    ran_expect("--help", 0, "serve", "");
    ran_expect("-h", 0, "serve", "");
    strcpy(list, ran_program("--help").out);
    char *rest = strstr(list, "Commands:\n") + strlen("Commands:\n");
    for (char *line; (line = strsep(&rest, "\n")) && line[0] == ' '; commands++) {
        char words[64];
        snprintf(words, sizeof words, "%.12s --help", line + 2);
        ran_expect(words, 0, "usage: descent ", "");
        ran_expect(words, 0,
                   "Exit status: 0 success, 1 failure (one line on stderr), 2 wrong usage.", "");
        for (const char *at = ran_program(words).out; at; at = strchr(at, '\n')) {
            at += *at == '\n';
            assert_true(strcspn(at, "\n") <= 79);
        }
    }
    assert_true(commands >= 3);
    ran_expect("serve --help", 0, "Default: 127.0.0.1:8080. Environment: DESCENT_LISTEN.", "");
    ran_expect("serve --listen nonsense --help", 0, "usage: descent serve", "");
}

static void test_wrong_usage(void **state)
{
    (void)state;
    ran_expect("", 2, "", "descent: a command is missing (see descent --help)");
    ran_expect("sreve", 2, "", "there is no command \"sreve\"; did you mean serve?");
    ran_expect("banana", 2, "", "there is no command \"banana\" (see");
    ran_expect("serve --lisen x", 2, "", "--lisen: is no option; did you mean --listen?");
    ran_expect("serve --listen 8080", 2, "", "not \"8080\" (see descent serve --help)");
    ran_expect("serve --kernel z80", 2, "", "\"z80\"");
    ran_expect("serve --data-dir /nowhere", 2, "", "/nowhere is no folder");
    ran_expect("serve now", 2, "", "now: is one argument too many");
    ran_expect("version --data x", 2, "", "--data: is no option");
    ran_expect("health --url ftp://x", 2, "", "\"ftp://x\"");
    ran_expect("health --url http://127.0.0.1:99999", 2, "", "99999");
    ran_expect("health --timeout-seconds 0", 2, "", "[1, 300], not \"0\"");
}

static void test_failures(void **state)
{
    (void)state;
    ran_expect("serve --data /proc/nowhere", 1, "", "--data: cannot create /proc/nowhere");
    ran_expect("serve --config /nowhere.conf", 1, "", "cannot read /nowhere.conf");
    ran_expect("health --listen 127.0.0.1:1", 1, "", "127.0.0.1 port 1: Connection refused");
    ran_expect("version >/dev/full", 1, "", "cannot write");
}

static void test_version(void **state)
{
    (void)state;
    ran_expect("version", 0, "descent 0.", "");
}

static void test_print_config(void **state)
{
    (void)state;
    ran_expect("serve --print-config", 0, "listen           = 127.0.0.1:8080       # default\n",
               "");
    ran_expect("serve --print-config --threads 3", 0, "= 3                    # flag\n", "");
    setenv("DESCENT_THREADS", "2", 1);
    ran_expect("serve --print-config", 0, "= 2                    # environment\n", "");
    unsetenv("DESCENT_THREADS");
    setenv("DESCENT_LISTN", "127.0.0.1:1", 1);
    ran_expect("serve --print-config", 0, "127.0.0.1:8080", "");
    unsetenv("DESCENT_LISTN");
}

/* A bare system (a chroot, some containers) has no /etc/hosts. */
static bool has_name(const char *name)
{
    struct addrinfo *list = NULL;
    const bool has = getaddrinfo(name, NULL, NULL, &list) == 0;

    if (has)
        freeaddrinfo(list);
    return has;
}

static void test_health(void **state)
{
    struct served served = {0};
    char words[128];

    (void)state;
    assert_true(served_start(&served));
    snprintf(words, sizeof words, "health --listen 0.0.0.0:%d", served.port);
    ran_expect(words, 0, "", "");
    snprintf(words, sizeof words, "health --url http://%s:%d/",
             has_name("localhost") ? "localhost" : "127.0.0.1", served.port);
    ran_expect(words, 0, "", "");
    snprintf(words, sizeof words, "health --url http://127.0.0.1:%d/no", served.port);
    ran_expect(words, 1, "", "is not ready: it answers 404");
    snprintf(words, sizeof words, "serve --listen 127.0.0.1:0 --data %s", served.dir);
    ran_expect(words, 1, "", "another server uses");
    assert_true(served_stop(&served));
}

/* --- train and eval --- */

static char folder[] = "/tmp/descent-train-XXXXXX";

/* Write a spec and run `descent WORDS`, in which %1$s is the spec's path and %2$s the folder. */
static void with_spec(char words[1024], const char *spec, const char *format)
{
    char path[64];

    snprintf(path, sizeof path, "%s/spec.json", folder);
    FILE *const file = fopen(path, "w");
    assert_true(file && fputs(spec, file) >= 0 && fclose(file) == 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(words, 1024, format, path, folder);
#pragma GCC diagnostic pop
}

static void expect_spec(const char *spec, const char *format, int status, const char *out,
                        const char *err)
{
    char words[1024];

    with_spec(words, spec, format);
    ran_expect(words, status, out, err);
}

#define SPEC_BEGIN                                                                                 \
    "{\"optimizer\":\"mine\",\"problems\":[{\"type\":\"quadratic\"}],\"config\":{\"hidden_size\":" \
    "4},"                                                                                          \
    "\"horizon\":10,\"unroll\":5,\"validate_every\":2,\"validation_functions\":4,"
#define SPEC SPEC_BEGIN "\"epochs\":6}"

static void test_train(void **state)
{
    char words[1024];

    (void)state;
    assert_non_null(mkdtemp(folder));
    expect_spec(SPEC, "train %1$s --out %2$s/a.safetensors --threads 1", 0,
                "\"event\":\"done\",\"reason\":\"completed\"", "");
    expect_spec(SPEC, "train - --out %2$s/b.safetensors --threads 3 < %1$s", 0, "{\"event\":", "");
    snprintf(words, sizeof words, "version; cmp %s/a.safetensors %s/b.safetensors", folder, folder);
    ran_expect(words, 0, "", ""); /* the same bits on any number of threads */
    expect_spec(SPEC, "train %1$s --data %2$s/data", 0, "\"version\":1,", "");
    expect_spec(SPEC_BEGIN "\"epochs\":2,\"init_from\":\"mine:1\"}", "train %1$s --data %2$s/data",
                0, "\"version\":2,", "");
    snprintf(words, sizeof words, "version; ls %s | tr '\\n' ' '", folder);
    ran_expect(words, 0, "a.safetensors b.safetensors data spec.json ", "");
}

static void test_eval(void **state)
{
    static const char spec[] =
        "{\"optimizers\":[\"mine:2\",\"sgd\"],\"baselines\":[\"adam\"],\"functions\":8,\"steps\":5,"
        "\"problem\":{\"type\":\"quadratic\"},\"tuning\":{\"functions\":4}}";

    (void)state;
    expect_spec(spec, "eval %1$s --data %2$s/data", 0, "\"optimizer\":\"adam\",", "");
    expect_spec(spec, "eval %1$s --data %2$s/data --table", 0, "sum f(theta_1..5)", "");
    expect_spec(spec, "eval %1$s --data %2$s/empty", 1, "", "there is no optimizer \"mine\"");
}

/* A network learns from a table of the folder that --data-dir names. */
static void test_train_on_data(void **state)
{
    static const char spec[] =
        "{\"problems\":[{\"type\":\"mlp\",\"params\":{\"dataset\":\"table\",\"hidden\":[3],"
        "\"batch\":4}}],"
        "\"config\":{\"hidden_size\":3},\"horizon\":6,\"unroll\":3,\"functions_per_step\":2,"
        "\"epochs\":2,"
        "\"second_derivatives\":true,\"imitation\":{\"optimizer\":\"adam\",\"probability\":0.5}}";
    char path[64];

    (void)state;
    snprintf(path, sizeof path, "%s/table.csv", folder);
    FILE *const file = fopen(path, "w");
    assert_true(file && fputs("1,red,yes\n2,blue,no\n3,red,yes\n4,blue,no\n", file) >= 0 &&
                fclose(file) == 0);
    expect_spec(spec, "train %1$s --out %2$s/d.safetensors --data-dir %2$s", 0,
                "\"reason\":\"completed\"", "");
    expect_spec(spec, "train %1$s --out %2$s/d.safetensors", 1, "",
                "problems[0].params.dataset: there is no folder of datasets; --data-dir names one");
    expect_spec("{\"baselines\":[\"sgd\"],\"functions\":3,\"steps\":3,\"tuning\":{\"functions\":2,"
                "\"learning_rates\":2},\"problem\":{\"type\":\"softmax_regression\",\"params\":{"
                "\"dataset\":\"table\",\"labels\":[1]}}}",
                "eval %1$s --data-dir %2$s", 1, "", "table has 1 class");
}

/* Who reads the progress may leave; the weights are written all the same. */
static void test_train_unread(void **state)
{
    char words[1024];

    (void)state;
    with_spec(words, SPEC,
              "train %1$s --out %2$s/e.safetensors | true; test -s %2$s/e.safetensors");
    ran_expect(words, 0, "", "");
}

/* SIGINT ends it early, with the best weights written and nothing half done. */
static void test_train_stopped(void **state)
{
    char words[1024];

    (void)state;
    with_spec(words, SPEC_BEGIN "\"epochs\":1000000,\"patience\":0}",
              "train %1$s --out %2$s/c.safetensors > %2$s/lines & pid=$!;"
              " until grep -q progress %2$s/lines || ! kill -0 $pid; do sleep 0.01; done;"
              " kill -INT $pid; wait $pid && test -s %2$s/c.safetensors && tail -n 1 %2$s/lines");
    ran_expect(words, 0, "\"reason\":\"stopped\"", "");
}

static void test_train_refused(void **state)
{
    char words[1024];

    (void)state;
    ran_expect("train", 2, "", "SPEC.json: is missing");
    ran_expect("train /nowhere.json", 1, "", "cannot read /nowhere.json: No such file");
    expect_spec(SPEC_BEGIN "\"epochs\":0}", "train %1$s", 1, "",
                "epochs: must be a whole number in");
    expect_spec(SPEC, "train %1$s --out %2$s/no/x.safetensors", 1, "", "cannot write ");
    expect_spec("{\"problems\":[{\"type\":\"quadratic\"}]}", "train %1$s --data %2$s/data", 1, "",
                "optimizer: is missing");
    expect_spec(SPEC_BEGIN "\"init_from\":\"nobody\"}", "train %1$s --data %2$s/data", 1, "",
                "there is no optimizer \"nobody\"");
    expect_spec("{\"optimizer\":\"adam\",\"problems\":[{\"type\":\"quadratic\"}]}",
                "train %1$s --data %2$s/data", 1, "", "adam came with the program");
    expect_spec("{\"optimizer\":\"A\",\"problems\":[{\"type\":\"quadratic\"}]}",
                "train %1$s --data %2$s/data", 1, "", "optimizer: must match");
    expect_spec("{\"problems\":[{\"type\":\"quadratic\"}],\"unroll\":101}",
                "train %1$s --out %2$s/x.safetensors", 1, "", "unroll: must be in [1, 100]");
    snprintf(words, sizeof words, "version; rm -r %s", folder);
    ran_expect(words, 0, "", "");
}

/* What eval prints, plot draws; a curve that did not stay finite is drawn as far as it goes. */
static void test_plot(void **state)
{
    static const char spec[] =
        "echo '{\"optimizers\":[],\"baselines\":[\"sgd\",\"adam\"],\"problem\":{\"type\":"
        "\"quadratic\"},\"steps\":10,\"functions\":4,\"seed\":7,\"tuning\":{\"learning_rates\":3,"
        "\"range\":[0.01,1],\"functions\":4}}' > %s/spec.json";
    char dir[] = "/tmp/descent-plot-XXXXXX", words[1024];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(words, sizeof words, spec, dir);
    assert_int_equal(system(words), 0);
    snprintf(words, sizeof words, "eval %s/spec.json > %s/result.json", dir, dir);
    ran_expect(words, 0, "", "");
    snprintf(words, sizeof words,
             "plot %s/result.json --svg %s/a.svg && grep -c '<path fill' %s/a.svg", dir, dir, dir);
    ran_expect(words, 0, "b adam at its best learning rate", "");
    ran_expect(words, 0, "10 steps", "");
    ran_expect(words, 0, "\n2\n", "");
    snprintf(words, sizeof words, "plot - < %s/result.json", dir);
    ran_expect(words, 0, "a sgd at its best learning rate", "");
    ran_expect(
        "plot - <<E\n{\"optimizers\":[{\"optimizer\":\"x\",\"config\":{},\"tuned\":false,"
        "\"mean\":[1,2,null],\"median\":[],\"p10\":[],\"p90\":[],\"final_loss\":null,"
        "\"final_loss_stderr\":null,\"loss_sum\":null,\"loss_sum_stderr\":null,\"diverged\":1,"
        "\"seconds_per_step\":1}]}\nE\n",
        0, "a x, does not stay finite", "");
    ran_expect("plot - <<E\nno\nE\n", 1, "", "descent: ");
    ran_expect("plot - <<E\n{\"optimizers\":[]}\nE\n", 1, "", "must have 1 to 26 curves, not 0");
    ran_expect("plot /nowhere", 1, "", "/nowhere");
    ran_expect("plot", 2, "", "FILE.json: is missing");
    snprintf(words, sizeof words, "plot %s/result.json --svg /nowhere/a.svg", dir);
    ran_expect(words, 1, "", "/nowhere/a.svg: cannot be written: No such file");
    snprintf(words, sizeof words, "rm -r %s", dir);
    assert_int_equal(system(words), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),          cmocka_unit_test(test_wrong_usage),
        cmocka_unit_test(test_failures),      cmocka_unit_test(test_version),
        cmocka_unit_test(test_print_config),  cmocka_unit_test(test_health),
        cmocka_unit_test(test_train),         cmocka_unit_test(test_eval),
        cmocka_unit_test(test_train_on_data), cmocka_unit_test(test_train_unread),
        cmocka_unit_test(test_train_stopped), cmocka_unit_test(test_train_refused),
        cmocka_unit_test(test_plot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
