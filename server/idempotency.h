/* idempotency.h -- a request that creates, sent twice with one Idempotency-Key, creates once
 *
 *     claim      before the work: the key's hash and the request's, durable
 *     location   in the transaction that makes the thing: what it is (store_claim_fulfil)
 *     answer     after the work: the reply
 *
 * The same request again gets the kept answer. When a crash came between the last two, it is made
 * anew from the location; when it came before, the request is simply carried out. A request that
 * fails leaves no claim: its key is free again. Two requests with one key at the same time take
 * turns. Answers are encrypted with the key that the client sent, whose hash alone is stored,
 * because one of them holds the text of an API key.
 *
 * For threads that may wait for a disk. */
#ifndef IDEMPOTENCY_H
#define IDEMPOTENCY_H

#include "buf.h"
#include "store.h"

struct idempotency;

bool idempotency_open(struct idempotency **out, struct store *store, dsc_err *err) DSC_MUST_CHECK;
void idempotency_close(struct idempotency *idempotency); /* NULL is fine */

/* What makes two requests the same. */
struct idempotency_request {
    const char *key; /* 1 to LIMIT_IDEMPOTENCY_BYTES visible ASCII, or FAULT_MALFORMED_HEADER */
    const char *credential; /* whose key: two clients never meet; NULL is ""  */
    const char *method, *path;
    const struct buf *body; /* or NULL */
};

/* A request under its claim: to be ended by idempotency_end, once. */
struct idempotency_claim {
    int64_t id;               /* for the row that is made */
    struct buf *answer;       /* the kept reply, a count of the caller's; NULL: there is none */
    char location[256];       /* what was made although there is no answer; "" : nothing was */
    unsigned char secret[32]; /* the answer's key */
    char name[65];
    struct idempotency_claim *next;
};

/* Waits while the same key is at work. FAULT_IDEMPOTENCY_MISMATCH when it was used for another
 * request, FAULT_QUOTA_EXCEEDED beyond LIMIT_IDEMPOTENCY_KEYS. */
bool idempotency_begin(struct idempotency *idempotency, const struct idempotency_request *request,
                       struct idempotency_claim *claim, dsc_err *err) DSC_MUST_CHECK;

/* Keep the reply (NULL: the request failed), and let the next one with this key in. An answer that
 * cannot be kept is made anew when it is asked for. */
void idempotency_end(struct idempotency *idempotency, struct idempotency_claim *claim,
                     const struct buf *answer);

#endif
