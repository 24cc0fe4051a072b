/* embed.c -- a tool of the build: prints files as C
 *
 *     embed migrations/<database>/<number>_<name>.sql... core/pretrained/<name>.safetensors...
 *
 * Beside each .safetensors lies a .txt with the sentence that describes it to people. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_file(const char *path)
{
    FILE *file = fopen(path, "rb");

    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

/* The file as the inside of a C string. */
static void print_text(const char *path)
{
    FILE *file = open_file(path);

    for (int c; (c = fgetc(file)) != EOF;)
        if (c == '\n')
            printf("\\n\"\n     \"");
        else
            printf(c == '"' || c == '\\' ? "\\%c" : "%c", c);
    fclose(file);
}

static size_t print_bytes(const char *path)
{
    FILE *file = open_file(path);
    size_t len = 0;

    for (int c; (c = fgetc(file)) != EOF; len++)
        printf("%s%d,", len % 32 == 0 ? "\n    " : "", c);
    fclose(file);
    return len;
}

static bool ends_with(const char *path, const char *ending)
{
    size_t len = strlen(path), end = strlen(ending);

    return len > end && strcmp(path + len - end, ending) == 0;
}

/* Where the last part of a path begins. */
static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void print_migration(const char *path)
{
    const char *name = base_of(path), *folder = name - 1;

    while (folder > path && folder[-1] != '/')
        folder--;
    printf("    {\"%.*s\", %d, \"", (int)(name - 1 - folder), folder, atoi(name));
    print_text(path);
    printf("\"},\n");
}

/* Two with one number: a database that has seen one would never see the other. */
static void check_numbers(const char *before, const char *path)
{
    const char *base = base_of(path), *other = base_of(before);

    if (base - path != other - before || strncmp(path, before, (size_t)(base - path)) != 0 ||
        atoi(base) != atoi(other))
        return;
    fprintf(stderr, "%s and %s have one number\n", before, path);
    exit(1);
}

static int print_migrations(int count, char **paths)
{
    int printed = 0;

    printf("#include \"migrations/embedded.h\"\n\nconst struct migration migrations[] = {\n");
    for (int i = 0; i < count; i++)
        if (ends_with(paths[i], ".sql")) {
            if (i > 0)
                check_numbers(paths[i - 1], paths[i]);
            print_migration(paths[i]);
            printed++;
        }
    return printf("};\nconst size_t migrations_count = %d;\n", printed);
}

static void print_pretrained(int count, char **paths)
{
    static const char ending[] = ".safetensors";
    size_t *len = calloc((size_t)count + 1, sizeof *len);

    for (int i = 0; len && i < count; i++)
        if (ends_with(paths[i], ending)) {
            printf("\nstatic const unsigned char pretrained_%d[] = {", i);
            len[i] = print_bytes(paths[i]);
            printf("\n};\n");
        }
    printf("\nconst struct pretrained pretrained[] = {\n");
    for (int i = 0; len && i < count; i++)
        if (ends_with(paths[i], ending)) {
            char about[4096];
            int stem = (int)(strlen(paths[i]) - strlen(ending));
            snprintf(about, sizeof about, "%.*s.txt", stem, paths[i]);
            printf("    {\"%.*s\", \"", stem - (int)(base_of(paths[i]) - paths[i]),
                   base_of(paths[i]));
            print_text(about);
            printf("\", pretrained_%d, %zu},\n", i, len[i]);
        }
    printf("    {0}};\n");
    free(len);
}

int main(int argc, char **argv)
{
    print_migrations(argc - 1, argv + 1);
    print_pretrained(argc - 1, argv + 1);
    return 0;
}
