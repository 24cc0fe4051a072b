#include "log.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A longer line is cut: a write of up to 4 kB to a pipe is never torn. */
enum { LINE_BYTES = 4096 };

static _Atomic int threshold = LOG_INFO;
static const char *const words[] = {"debug", "info", "warn", "error"};

struct line {
    char text[LINE_BYTES];
    size_t len;
};

static void add_byte(struct line *line, char c)
{
    if (line->len < LINE_BYTES - 8) /* room for what closes the line */
        line->text[line->len++] = c;
}

static void add_plain(struct line *line, const char *text)
{
    while (*text)
        add_byte(line, *text++);
}

static void add_text(struct line *line, const char *name, const char *text)
{
    char code[8];

    add_plain(line, ",\"");
    add_plain(line, name);
    add_plain(line, "\":\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        snprintf(code, sizeof code,
                 c < 0x20 || c == 0x7f   ? "\\u%04x"
                 : c == '"' || c == '\\' ? "\\%c"
                                         : "%c",
                 c);
        add_plain(line, code);
    }
    add_byte(line, '"');
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
    struct line line;

    if (threshold > LOG_INFO)
        return;
    begin(&line, LOG_INFO);
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
