#include "config.h"
#include "fault.h"
#include "limits.h"
#include "suggest.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};

#define AT(member) .offset = offsetof(struct config, member)

const struct option config_options[] = {
    {"listen", OPTION_ADDRESS, AT(listen), "ADDRESS:PORT", "127.0.0.1:8080",
     .doc = "Where to listen: a numeric address and a port; port 0 picks one; IPv6 as [::1]:8080."},
    {"data", OPTION_TEXT, AT(data), "DIR", ".descent",
     .doc = "The folder of the databases; made when it is not there. One server for a folder."},
    {"data-dir", OPTION_TEXT, AT(data_dir), "DATASETS", NULL,
     .doc = "A folder of datasets to offer read-only."},
    {"require-keys", OPTION_FLAG, AT(require_keys), NULL, "false",
     .doc = "Ask for a key on loopback addresses too; on all others one is always asked for."},
    {"insecure-no-keys", OPTION_FLAG, AT(insecure_no_keys), NULL, "false",
     .doc = "Ask nobody for a key, on any address: whoever reaches the port may do everything."},
    {"api-key", OPTION_SECRET, AT(api_key), NULL, NULL,
     .doc = "A key of 32 to 256 visible ASCII characters that has every scope while this server "
            "runs; it is not stored."},
    {"kernel", OPTION_TEXT, AT(kernel), "NAME", "auto",
     .doc = "The instruction set of the learned families: x86-64-v4, x86-64-v3 or plain; auto is "
            "the fastest that this processor has."},
    {"threads", OPTION_WHOLE, AT(threads), "N", "0", 0, 1024,
     .doc = "Threads that compute; 0 is one for each processor."},
    {"jobs", OPTION_WHOLE, AT(jobs), "N", "1", 0, 64,
     .doc = "Trainings and evaluations that run at a time, each with as many threads as updates "
            "have, and below their priority; 0: they wait."},
    {"memory-mb", OPTION_WHOLE, AT(memory_mb), "N", "0", 0, 1 << 30,
     .doc = "MiB for the states of sessions; idle ones beyond that are put away and loaded again "
            "when needed. 0 is half of what the machine or the container has."},
    {"log-level", OPTION_WORD, AT(log_level), "LEVEL", "info", .words = level_words,
     .doc = "The least that is logged (JSON lines on stderr): debug, info, warn or error."},

    {"out", OPTION_TEXT, AT(out), "FILE", NULL, .once = true,
     .doc = "The weights file to write, as .safetensors."},
    {"svg", OPTION_TEXT, AT(svg), "FILE", NULL, .once = true,
     .doc = "Write a picture there as well."},
    {"dry-run", OPTION_FLAG, AT(dry_run), NULL, "false", .once = true,
     .doc = "Try it and undo it again; nothing is changed."},
    {"table", OPTION_FLAG, AT(table), NULL, "false", .once = true,
     .doc = "Print the table also when stdout is no terminal."},
    {"url", OPTION_TEXT, AT(url), "URL", NULL, .once = true,
     .doc = "The server to ask, as http://HOST:PORT; without it the one that listen names."},
    {"timeout-seconds", OPTION_WHOLE, AT(timeout_seconds), "N", "3", 1, 300, .once = true,
     .doc = "How long to wait for the whole answer."},
    {"name", OPTION_TEXT, AT(name), "NAME", NULL, .once = true,
     .doc = "What people call the key; no two share a name. Required."},
    {"scopes", OPTION_TEXT, AT(scopes), "A,B", NULL, .once = true,
     .doc = "What the key may do: optimizers:read, optimizers:write, the same two of sessions, "
            "jobs and datasets, keys:admin, metrics:read, with a comma between; or all. "
            "Required."},
    {"expires-at", OPTION_TEXT, AT(expires_at), "TIME", NULL, .once = true,
     .doc = "From when on the key is refused, such as 2030-01-31T12:00:00Z; without it never."},
    {0},
};

enum { ROWS = sizeof config_options / sizeof *config_options - 1 };
_Static_assert(ROWS <= CONFIG_OPTIONS_MAX, "struct config has a source for each row");

static const char secret_suffix[] = "-file";

/* --- which row --- */

bool config_named(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* The row called name[0..len), `name-file` for a secret (then *by_file); NULL when there is none.
 */
static const struct option *find(const char *name, size_t len, bool *by_file)
{
    for (const struct option *row = config_options; row->name; row++) {
        size_t own = strlen(row->name);
        *by_file = row->kind == OPTION_SECRET && len == own + strlen(secret_suffix) &&
                   strncmp(name + own, secret_suffix, strlen(secret_suffix)) == 0;
        if ((len == own || *by_file) && strncmp(row->name, name, own) == 0)
            return row;
    }
    return NULL;
}

void config_variable(const struct option *option, char out[64])
{
    size_t len = (size_t)snprintf(out, 64, "DESCENT_%s", option->name);

    for (size_t i = 0; i < len && i < 63; i++)
        out[i] = (char)(out[i] == '-'                    ? '_'
                        : out[i] >= 'a' && out[i] <= 'z' ? out[i] - 32
                                                         : out[i]);
}

/* `dashes` is how a name begins where it stood. */
static bool unknown(const char *where, const char *word, size_t len, const char *const *names,
                    const char *dashes, dsc_err *err)
{
    char name[64];
    size_t count = 0;

    snprintf(name, sizeof name, "%.*s", (int)len, word);
    while (names[count])
        count++;
    const char *near = suggest(name, names, count, sizeof *names);
    return near ? dsc_fail(err, FAULT_INVALID_VALUE, where, "is no option; did you mean %s%s?",
                           dashes, near)
                : dsc_fail(err, FAULT_INVALID_VALUE, where, "is no option");
}

/* --- values --- */

static bool set_flag(bool *out, const char *text, const char *where, dsc_err *err)
{
    *out = strcmp(text, "true") == 0;
    return *out || strcmp(text, "false") == 0 ||
           dsc_fail(err, FAULT_INVALID_VALUE, where, "must be true or false, not \"%.60s\"", text);
}

static bool set_whole(int64_t *out, const struct option *row, const char *text, const char *where,
                      dsc_err *err)
{
    char *end = NULL;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return (strspn(text, "0123456789") == strlen(text) && end != text && errno == 0 &&
            value >= row->min && value <= row->max) ||
           dsc_fail(err, FAULT_INVALID_VALUE, where,
                    "must be a whole number in [%lld, %lld], not \"%.40s\"", (long long)row->min,
                    (long long)row->max, text);
}

static bool set_word(int *out, const struct option *row, const char *text, const char *where,
                     dsc_err *err)
{
    size_t count = 0;

    while (row->words[count] && strcmp(row->words[count], text) != 0)
        count++;
    *out = (int)count;
    if (row->words[count])
        return true;
    const char *near = suggest(text, row->words, count, sizeof *row->words);
    return dsc_fail(err, FAULT_INVALID_VALUE, where, "there is no \"%.40s\"%s%s%s", text,
                    near ? "; did you mean " : " among those of --help", near ? near : "",
                    near ? "?" : "");
}

static bool is_numeric(const char *host, bool *loopback)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, host, &v4) == 1) {
        *loopback = ntohl(v4.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6) != 1)
        return false;
    *loopback = IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    return true;
}

/* "127.0.0.1:8080" or "[::1]:8080" */
static bool parse_address(struct address *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;

    if (len < 1 || digits < 1 || digits > 5 || colon[1 + digits] || atoi(colon + 1) > 65535)
        return false;
    out->port = (uint16_t)atoi(colon + 1);
    bool bracketed = text[0] == '[' && text[len - 1] == ']';
    if (bracketed)
        text++, len -= 2;
    if (len < 1 || len >= sizeof out->host || (memchr(text, ':', len) != NULL) != bracketed)
        return false;
    memcpy(out->host, text, len);
    out->host[len] = '\0';
    return is_numeric(out->host, &out->loopback);
}

static bool set_address(struct address *out, const char *text, const char *where, dsc_err *err)
{
    return parse_address(out, text) ||
           dsc_fail(err, FAULT_INVALID_VALUE, where,
                    "must be a numeric address and a port such as 127.0.0.1:8080 or [::1]:8080, "
                    "not \"%.40s\"",
                    text);
}

/* The whole of a file, at most LIMIT_CONFIG_BYTES, from the arena. */
static char *read_file(dsc_arena *arena, const char *path, const char *where, dsc_err *err)
{
    FILE *file = fopen(path, "r");
    char *text = dsc_arena_take(arena, LIMIT_CONFIG_BYTES + 2, 1);
    size_t len = file && text ? fread(text, 1, LIMIT_CONFIG_BYTES + 1, file) : 0;
    int failure = errno;
    bool ok = file && text && !ferror(file);

    if (file)
        fclose(file);
    if (!text)
        dsc_fail(err, FAULT_OUT_OF_MEMORY, where, "no memory for %.60s", path);
    else if (!ok)
        dsc_fail(err, FAULT_INTERNAL, where, "cannot read %.80s: %s", path, strerror(failure));
    else if (len > LIMIT_CONFIG_BYTES)
        dsc_fail(err, FAULT_INVALID_VALUE, where, "%.60s is larger than %u bytes", path,
                 LIMIT_CONFIG_BYTES);
    else if (strlen(text) != len)
        dsc_fail(err, FAULT_INVALID_VALUE, where, "%.80s has a NUL byte and is no text", path);
    else
        return text;
    return NULL;
}

static bool set_secret(struct config *config, const char **out, bool by_file, const char *text,
                       const char *where, dsc_err *err)
{
    if (by_file && !(text = read_file(&config->arena, text, where, err)))
        return false;
    size_t len = strcspn(text, "\r\n"); /* editors end a file with a newline */
    if (text[len + strspn(text + len, "\r\n")])
        return dsc_fail(err, FAULT_INVALID_VALUE, where, "a secret is one line");
    *out = dsc_arena_text(&config->arena, text, len);
    return *out || dsc_fail(err, FAULT_OUT_OF_MEMORY, where, "no memory for it");
}

static bool set_value(struct config *config, const struct option *row, bool by_file,
                      const char *text, const char *where, enum config_source source, dsc_err *err)
{
    void *out = (char *)config + row->offset;

    config->source[row - config_options] = source;
    switch (row->kind) {
    case OPTION_FLAG:
        return set_flag(out, text, where, err);
    case OPTION_TEXT:
        *(const char **)out = text;
        return true;
    case OPTION_WHOLE:
        return set_whole(out, row, text, where, err);
    case OPTION_WORD:
        return set_word(out, row, text, where, err);
    case OPTION_ADDRESS:
        return set_address(out, text, where, err);
    case OPTION_SECRET:
        return set_secret(config, out, by_file, text, where, err);
    }
    return false;
}

/* --- where they come from --- */

static bool take_defaults(struct config *config, dsc_err *err)
{
    for (const struct option *row = config_options; row->name; row++)
        if (row->fallback &&
            !set_value(config, row, false, row->fallback, row->name, SOURCE_DEFAULT, err))
            return false;
    return true;
}

/* Cut a comment and the blanks around; returns the first character that is left. */
static char *trim(char *line)
{
    for (char *c = line; *c; c++)
        if (*c == '#' && (c == line || c[-1] == ' ' || c[-1] == '\t'))
            *c = '\0';
    for (size_t len = strlen(line); len > 0 && strchr(" \t\r", line[len - 1]);)
        line[--len] = '\0';
    return line + strspn(line, " \t");
}

static bool file_unknown(const char *where, const char *name, dsc_err *err)
{
    const char *names[CONFIG_OPTIONS_MAX + 1] = {NULL};
    char spot[64];
    size_t count = 0;

    for (const struct option *row = config_options; row->name; row++)
        if (!row->once)
            names[count++] = row->name;
    snprintf(spot, sizeof spot, "%.40s: %.20s", where, name);
    return unknown(spot, name, strlen(name), names, "", err);
}

static bool take_line(struct config *config, char *line, const char *where, uint32_t *seen,
                      dsc_err *err)
{
    char *equals = strchr(line, '=');
    bool by_file = false;

    if (!equals)
        return dsc_fail(err, FAULT_INVALID_VALUE, where, "must be name = value, not \"%.60s\"",
                        line);
    *equals = '\0';
    const char *name = trim(line), *value = trim(equals + 1);
    const struct option *row = find(name, strlen(name), &by_file);
    if (!row || row->once)
        return file_unknown(where, name, err);
    uint32_t bit = (uint32_t)1 << (row - config_options);
    if (*seen & bit)
        return dsc_fail(err, FAULT_INVALID_VALUE, where, "%s is given twice", row->name);
    *seen |= bit;
    return set_value(config, row, by_file, value, where, SOURCE_FILE, err);
}

static bool take_file(struct config *config, const char *path, const char *where, dsc_err *err)
{
    char *next = read_file(&config->arena, path, where, err);
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    uint32_t seen = 0;
    bool ok = next != NULL;

    for (int number = 1; ok && next; number++) {
        char spot[64], *line = next;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        line = trim(line);
        snprintf(spot, sizeof spot, "%.40s:%d", base, number);
        ok = !*line || take_line(config, line, spot, &seen, err);
    }
    return ok;
}

/* A variable that is empty counts as not there: that is how compose files leave one out. */
static const char *variable(const char *name)
{
    const char *text = getenv(name);

    return text && *text ? text : NULL;
}

static bool take_environment(struct config *config, const char *const *names, dsc_err *err)
{
    for (const struct option *row = config_options; row->name; row++) {
        char name[64], by_file[80];
        if (row->once || !config_named(names, row->name))
            continue;
        config_variable(row, name);
        snprintf(by_file, sizeof by_file, "%s_FILE", name);
        const char *value = variable(name);
        const char *path = row->kind == OPTION_SECRET ? variable(by_file) : NULL;
        if (value && path)
            return dsc_fail(err, FAULT_INVALID_VALUE, name, "and %s are both set; keep one",
                            by_file);
        if (value && !set_value(config, row, false, value, name, SOURCE_ENVIRONMENT, err))
            return false;
        if (path && !set_value(config, row, true, path, by_file, SOURCE_ENVIRONMENT, err))
            return false;
    }
    return true;
}

/* --- flags --- */

struct words {
    int count;
    char **word;
    int at; /* the next one */
};

/* The value of the flag just taken: what follows '=' in it, or the next word. */
static const char *flag_value(struct words *words, const char *flag, size_t len, dsc_err *err)
{
    if (flag[len] == '=')
        return flag + len + 1;
    if (words->at < words->count)
        return words->word[words->at++];
    dsc_fail(err, FAULT_INVALID_VALUE, flag, "a value is missing after it");
    return NULL;
}

static bool take_flag(struct config *config, struct words *words, const char *flag,
                      const char *const *names, dsc_err *err)
{
    size_t len = strcspn(flag, "=");
    char where[64];
    bool by_file = false;

    snprintf(where, sizeof where, "%.*s", (int)len, flag);
    if (strcmp(where, "--print-config") == 0 && flag[len] != '=')
        return config->print = true;
    if (strcmp(where, "--config") == 0) /* taken before */
        return flag_value(words, flag, len, err) != NULL;
    const struct option *row =
        strncmp(flag, "--", 2) == 0 && len > 2 ? find(flag + 2, len - 2, &by_file) : NULL;
    if (!row || !config_named(names, row->name))
        return unknown(where, flag + strspn(flag, "-"), len - strspn(flag, "-"), names, "--", err);
    if (row->kind == OPTION_SECRET && !by_file)
        return dsc_fail(err, FAULT_INVALID_VALUE, where,
                        "others could read it in the list of processes; use --%s-file or the "
                        "environment",
                        row->name);
    if (row->kind == OPTION_FLAG && flag[len] != '=')
        return set_value(config, row, false, "true", where, SOURCE_FLAG, err);
    const char *value = flag_value(words, flag, len, err);
    return value && set_value(config, row, by_file, value, where, SOURCE_FLAG, err);
}

static bool take_flags(struct config *config, const char *const *names, const char *argument,
                       struct words words, dsc_err *err)
{
    while (words.at < words.count) {
        const char *word = words.word[words.at++];
        if (word[0] == '-' && word[1]) {
            if (!take_flag(config, &words, word, names, err))
                return false;
        } else if (!argument || config->argument) {
            return dsc_fail(err, FAULT_INVALID_VALUE, word, "is one argument too many");
        } else {
            config->argument = word;
        }
    }
    return !argument || config->argument || config->print ||
           dsc_fail(err, FAULT_INVALID_VALUE, argument, "is missing");
}

/* The file's name, which must be known before the flags that win over it are taken. */
static bool find_file(struct words words, const char **path, const char **where, dsc_err *err)
{
    *path = variable("DESCENT_CONFIG");
    *where = "DESCENT_CONFIG";
    while (words.at < words.count) {
        const char *word = words.word[words.at++];
        size_t len = strcspn(word, "=");
        if (len != strlen("--config") || strncmp(word, "--config", len) != 0)
            continue;
        *where = "--config";
        if (!(*path = flag_value(&words, word, len, err)))
            return false;
    }
    return true;
}

bool config_read(struct config *config, const char *const *names, const char *argument, int argc,
                 char **argv, dsc_err *err)
{
    const struct words words = {argc, argv, 0};
    const char *path, *where;

    *config = (struct config) {0};
    dsc_arena_init(&config->arena, 8 * LIMIT_CONFIG_BYTES);
    return take_defaults(config, err) && find_file(words, &path, &where, err) &&
           (!path || take_file(config, path, where, err)) && take_environment(config, names, err) &&
           take_flags(config, names, argument, words, err);
}

void config_release(struct config *config)
{
    dsc_arena_release(&config->arena);
}
