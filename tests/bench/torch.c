#include "torch.h"

#include "bench.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void run_python(const int in[2], const int out[2])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    close(in[1]);
    close(out[0]);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("OMP_WAIT_POLICY", "passive", 1); /* on a busy machine spinning only loses */
    execl("/usr/bin/python3", "python3", "tests/bench/torch_side.py", (char *)NULL);
    _exit(127);
}

void torch_start(struct torch *torch)
{
    int in[2], out[2];

    signal(SIGPIPE, SIG_IGN);
    bench_need(pipe(in) == 0 && pipe(out) == 0, "no pipes");
    torch->pid = fork();
    bench_need(torch->pid >= 0, "no process");
    if (torch->pid == 0)
        run_python(in, out);
    close(in[0]);
    close(out[1]);
    torch->to = fdopen(in[1], "w");
    torch->from = fdopen(out[0], "r");
    bench_need(torch->to && torch->from, "no pipes");
}

void torch_stop(struct torch *torch)
{
    fclose(torch->to);
    fclose(torch->from);
    waitpid(torch->pid, NULL, 0);
}

static double ask(const struct torch_task *task, const char *what)
{
    struct torch *const torch = task->torch;
    double seconds = 0;

    fprintf(torch->to, "%s %zu\n", what, task->number);
    fflush(torch->to);
    bench_need(fscanf(torch->from, "%lf %127[^\n]", &seconds, torch->how) >= 1,
               "PyTorch did not answer; is python3-torch installed?");
    return seconds;
}

double torch_step(void *task)
{
    return ask(task, "step");
}

double torch_meta(void *task)
{
    return ask(task, "meta");
}
