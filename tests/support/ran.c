#include "ran.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void read_whole(FILE *file, char *out, size_t size)
{
    rewind(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

struct ran ran_program(const char *words)
{
    static struct ran ran;
    char line[2048];
    FILE *out = tmpfile(), *err = tmpfile();
    const char *program = getenv("DESCENT_BIN");
    int status = -1;

    assert_non_null(out);
    assert_non_null(err);
    snprintf(line, sizeof line, "%s %s", program ? program : "build/descent", words);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    ran.status = WEXITSTATUS(status);
    read_whole(out, ran.out, sizeof ran.out);
    read_whole(err, ran.err, sizeof ran.err);
    return ran;
}

void ran_expect(const char *words, int status, const char *out, const char *err)
{
    struct ran ran = ran_program(words);

    if (ran.status != status || !strstr(ran.out, out) || !strstr(ran.err, err))
        fail_msg("descent %s: %d\n%s%s", words, ran.status, ran.out, ran.err);
    if (status != 0) /* one line */
        assert_ptr_equal(strchr(ran.err, '\n'), ran.err + strlen(ran.err) - 1);
}
