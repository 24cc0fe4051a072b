/* jsontext.c -- pieces of JSON as text */
#include "jsontext.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a lead byte promises: how many bytes, and the least code point that needs so many. */
static size_t lead(unsigned char byte, uint32_t *code, uint32_t *least)
{
    static const uint32_t leasts[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t len = byte < 0x80 ? 1 : byte < 0xc0 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;

    *code = len < 2 ? byte : byte & (0x7fu >> len);
    *least = leasts[len];
    return byte < 0xf8 ? len : 0;
}

size_t jsontext_char(const char *text, size_t len)
{
    uint32_t code, least;
    size_t need;

    if (len == 0)
        return 0;
    need = lead((unsigned char)text[0], &code, &least);
    if (need > len)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    }
    /* Overlong forms, halves of surrogate pairs, beyond Unicode. */
    return code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : need;
}

/* The two letters after the backslash, or NULL when the byte needs no escape of that kind. */
static const char *short_escape(char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

static bool append_text(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

/* One character that cannot stand as it is; *len is how many bytes of the text it takes. */
static bool append_escape(struct buf *out, const char *text, size_t *len)
{
    const char *const escape = short_escape(*text);
    char code[8];

    if (*len == 0) {
        *len = 1;
        return append_text(out, "\\ufffd");
    }
    if (escape)
        return append_text(out, escape);
    (void)snprintf(code, sizeof code, "\\u%04x", (unsigned char)*text);
    return append_text(out, code);
}

static bool stands_plain(const char *text, size_t char_len)
{
    return char_len > 0 && (unsigned char)*text >= 0x20 && *text != '"' && *text != '\\' &&
           *text != 0x7f;
}

bool jsontext_string(struct buf *out, const char *text, size_t len)
{
    size_t plain = 0; /* where the bytes begin that have not been appended yet */
    bool ok = append_text(out, "\"");

    for (size_t i = 0; ok && i < len;) {
        size_t step = jsontext_char(text + i, len - i);

        if (!stands_plain(text + i, step)) {
            ok = buf_append(out, text + plain, i - plain) && append_escape(out, text + i, &step);
            plain = i + step;
        }
        i += step;
    }
    return ok && buf_append(out, text + plain, len - plain) && append_text(out, "\"");
}

size_t jsontext_real(char text[JSONTEXT_REAL_MAX], double x)
{
    /* Digits beyond the 15 that any normal double carries faithfully are tried one by one, up to
     * the 17 that always suffice; %g leaves out zeros at the end. Subnormals carry fewer. */
    int digits = fabs(x) < DBL_MIN ? 1 : DBL_DIG;
    int len;

    if (!isfinite(x))
        return (size_t)snprintf(text, JSONTEXT_REAL_MAX, "null");
    do
        len = snprintf(text, JSONTEXT_REAL_MAX, "%.*g", digits, x);
    while (strtod(text, NULL) != x && digits++ < DBL_DECIMAL_DIG);
    return (size_t)len;
}

size_t jsontext_quote(char *out, size_t size, const char *from)
{
    const size_t len = strlen(from);
    size_t used = 0;

    for (size_t i = 0; i < len;) {
        const size_t step = jsontext_char(from + i, len - i);
        const bool odd = step == 0 || (unsigned char)from[i] < 0x20 || from[i] == 0x7f;
        const size_t bytes = odd ? 1 : step;

        if (bytes >= size - used)
            break;
        memcpy(out + used, odd ? "?" : from + i, bytes);
        used += bytes;
        i += step ? step : 1;
    }
    out[used] = '\0';
    return used;
}
