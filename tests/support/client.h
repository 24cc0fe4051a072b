/* client.h -- one client of a server under test: sends requests, checks every refusal whole
 *
 * Keeps one connection and opens another when the server has closed it. One thread at a time;
 * everything that is not as expected fails the test. */
#ifndef CLIENT_H
#define CLIENT_H

#include "tests/support/served.h"
#include "tests/support/wire.h"
#include <jansson.h>

struct client {
    struct served *served;
    struct wire wire;
    bool open;
};

/* A request; members left out are none. */
struct asked {
    const char *method, *path;
    const char *type;    /* Content-Type */
    const char *headers; /* further lines, each with its "\r\n" */
    const void *body;    /* [len] */
    size_t len;
};

void client_open(struct client *client, struct served *served);
void client_close(struct client *client);

/* Send it and read the whole reply, borrowed until the next call. */
struct wire_reply client_ask(struct client *client, const struct asked *asked);

/* Does the last reply say that the connection ends with it? */
bool client_ends(const struct client *client);

/* The value of a header of the last reply, up to the end of its line; "" when it has none. */
const char *client_header(const struct client *client, const char *name, char value[256]);

/* The JSON reply, which must have the status. The caller's. `body` is JSON text, or NULL. */
json_t *client_json(struct client *client, const char *method, const char *path, const char *body,
                    int status);

/* The reply must be a problem document with this status and code and every member that
 * api.md, section 2, promises. */
void client_refused(struct client *client, const struct asked *asked, int status, const char *code);

#endif
