#include "log.h"
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A write of up to 4 kB to a pipe is never torn. Texts are cut so that a line keeps within that and
 * is whole JSON: what is not a text (names, numbers, quotes, the end) takes less than RESERVE. */
enum { LINE_BYTES = 4096, RESERVE = 1024 };

static _Atomic int threshold = LOG_INFO;
static const char *const words[] = {"debug", "info", "warn", "error"};

struct line {
    char text[LINE_BYTES];
    size_t len;
};

static void add_plain(struct line *line, const char *text)
{
    size_t len = strlen(text);

    assert(len < LINE_BYTES - line->len);
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* Bytes beyond ASCII may be no UTF-8, which would be no JSON: they are shown by number. */
static void add_text(struct line *line, const char *name, const char *text)
{
    char code[8];

    add_plain(line, ",\"");
    add_plain(line, name);
    add_plain(line, "\":\"");
    for (; *text && line->len < LINE_BYTES - RESERVE; text++) {
        unsigned char c = (unsigned char)*text;
        snprintf(code, sizeof code,
                 c < 0x20 || c >= 0x7f   ? "\\u%04x"
                 : c == '"' || c == '\\' ? "\\%c"
                                         : "%c",
                 c);
        add_plain(line, code);
    }
    add_plain(line, "\"");
}

static void add_number(struct line *line, const char *name, uint64_t value)
{
    char text[64];

    snprintf(text, sizeof text, ",\"%s\":%" PRIu64, name, value);
    add_plain(line, text);
}

static void begin(struct line *line, enum log_level level)
{
    struct timespec now;
    struct tm tm;
    char text[64];

    line->len = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, sizeof text - len, ".%03ldZ\"", now.tv_nsec / 1000000);
    add_plain(line, "{\"time\":\"");
    add_plain(line, text);
    add_text(line, "level", words[level]);
}

static void end(struct line *line)
{
    memcpy(line->text + line->len, "}\n", 2);
    if (write(STDERR_FILENO, line->text, line->len + 2) < 0)
        return; /* nobody is left to tell */
}

void log_set_level(enum log_level level)
{
    threshold = (int)level;
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    struct line line;
    char detail[1024];
    va_list args;

    if ((int)level < threshold)
        return;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    begin(&line, level);
    add_text(&line, "event", event);
    add_text(&line, "detail", detail);
    end(&line);
}

void log_request(const struct log_request *request)
{
    const enum log_level level = request->routine ? LOG_DEBUG : LOG_INFO;
    struct line line;

    if (threshold > (int)level)
        return;
    begin(&line, level);
    add_text(&line, "event", "request");
    add_text(&line, "request_id", request->request_id);
    add_text(&line, "method", request->method);
    add_text(&line, "route", request->route);
    if (request->trace)
        add_text(&line, "traceparent", request->trace);
    add_number(&line, "status", (uint64_t)request->status);
    if (request->code)
        add_text(&line, "code", request->code);
    add_number(&line, "bytes_in", request->bytes_in);
    add_number(&line, "bytes_out", request->bytes_out);
    add_number(&line, "microseconds", request->microseconds);
    end(&line);
}
