/* embedded.h -- what embed.c turned into C: the migrations, and the optimizers that ship */
#ifndef EMBEDDED_H
#define EMBEDDED_H

#include <stddef.h>

struct migration {
    const char *database; /* "small" or "bulk": the folder */
    int number;           /* from the file's name, 1 first */
    const char *sql;
};

extern const struct migration migrations[]; /* by database and number */
extern const size_t migrations_count;

/* core/pretrained/<name>.safetensors, and what its .txt says. */
struct pretrained {
    const char *name, *about;
    const unsigned char *bytes;
    size_t len;
};

extern const struct pretrained pretrained[]; /* the last one has name == NULL */

#endif
