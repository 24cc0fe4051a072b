/* embed.c -- a tool of the build: `embed FILE...` prints migrations/<database>/<number>_<name>.sql
 * files as C */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print_file(const char *path)
{
    FILE *file = fopen(path, "r");
    const char *name = strrchr(path, '/');
    const char *folder = name;

    if (!file || !name)
        return perror(path), 1;
    while (folder > path && folder[-1] != '/')
        folder--;
    printf("    {\"%.*s\", %d, \"", (int)(name - folder), folder, atoi(name + 1));
    for (int c; (c = fgetc(file)) != EOF;)
        if (c == '\n')
            printf("\\n\"\n     \"");
        else
            printf(c == '"' || c == '\\' ? "\\%c" : "%c", c);
    printf("\"},\n");
    return fclose(file);
}

int main(int argc, char **argv)
{
    printf("#include \"migrations/embedded.h\"\n\nconst struct migration migrations[] = {\n");
    for (int i = 1; i < argc; i++)
        if (print_file(argv[i]) != 0)
            return 1;
    printf("};\nconst size_t migrations_count = %d;\n", argc - 1);
    return 0;
}
