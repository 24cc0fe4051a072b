#include "clock.h"
#include <stdio.h>
#include <string.h>

/* ".25" is 250 ms; digits beyond the third are dropped. Returns what follows, NULL if it is none.
 */
static const char *read_fraction(const char *text, int *ms)
{
    int scale = 100;

    *ms = 0;
    if (*text != '.')
        return text;
    size_t digits = strspn(++text, "0123456789");
    for (size_t i = 0; i < digits; i++, scale /= 10)
        *ms += (text[i] - '0') * scale;
    return digits > 0 && digits <= 9 ? text + digits : NULL;
}

bool clock_parse(const char *text, int64_t *ms)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    struct tm tm = {0};
    int fraction;

    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    if (sscanf(text, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6)
        return false;
    const char *rest = read_fraction(text + strlen(form), &fraction);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    struct tm real = tm;
    time_t seconds = timegm(&real); /* turns 30 February into 1 March */
    *ms = (int64_t)seconds * 1000 + fraction;
    return rest && strcmp(rest, "Z") == 0 && real.tm_mon == tm.tm_mon &&
           real.tm_mday == tm.tm_mday && real.tm_hour == tm.tm_hour && real.tm_min == tm.tm_min &&
           real.tm_sec == tm.tm_sec;
}
