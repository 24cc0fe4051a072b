/* log.h -- one line of JSON on stderr for everything worth knowing later
 *
 * Lines are written whole with one write(2), so threads never mix theirs. Client text is escaped.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NOTHING }; /* none is of the last */

/* Lines below `level` are dropped from now on; LOG_INFO until told. */
void log_set_level(enum log_level level);

/* {"time": ..., "level": "info", "event": event, "detail": text} */
void log_line(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* One answered request. */
struct log_request {
    const char *request_id, *method, *route, *trace; /* trace may be NULL; route is the pattern */
    int status;
    const char *code; /* the fault's word, or NULL */
    uint64_t bytes_in, bytes_out, microseconds;
    bool routine; /* asked by machines every few seconds and answered well: LOG_DEBUG, not LOG_INFO
                   */
};
void log_request(const struct log_request *line);

#endif
