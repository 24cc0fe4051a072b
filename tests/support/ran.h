/* ran.h -- the program run to its end, as a person at a terminal does */
#ifndef RAN_H
#define RAN_H

struct ran {
    int status;
    char out[16384], err[4096];
};

/* Run $DESCENT_BIN (build/descent by default) with `words`, a text for the shell; the words come
 * from the test. One thread at a time; a failure to run fails the test. */
struct ran ran_program(const char *words);

/* Run it; it must end with `status`, its output must have `out` and `err` in it, and a failure must
 * be one line on stderr. */
void ran_expect(const char *words, int status, const char *out, const char *err);

#endif
