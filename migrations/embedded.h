/* embedded.h -- the migrations, as embed.c turned them into C */
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

#endif
