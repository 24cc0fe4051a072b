#include "idempotency.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct idempotency {
    struct store *store;
    pthread_mutex_t lock; /* of the list */
    pthread_cond_t ended;
    struct idempotency_claim *first; /* at work */
};

/* --- hashes --- */

static void add_text(crypto_generichash_state *state, const char *text)
{
    crypto_generichash_update(state, (const unsigned char *)(text ? text : ""),
                              (text ? strlen(text) : 0) + 1);
}

/* Of the key, for one of two purposes: its name in the database, or to encrypt with. */
static void hash_key(unsigned char out[32], const char *purpose,
                     const struct idempotency_request *request)
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, 32);
    add_text(&state, purpose);
    add_text(&state, request->credential);
    add_text(&state, request->key);
    crypto_generichash_final(&state, out, 32);
}

static void hash_request(char out[65], const struct idempotency_request *request)
{
    crypto_generichash_state state;
    unsigned char hash[32];

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    add_text(&state, request->method);
    add_text(&state, request->path);
    if (request->body)
        crypto_generichash_update(&state, request->body->data, request->body->len);
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(out, 65, hash, sizeof hash);
}

static bool check_key(const char *key, dsc_err *err)
{
    const size_t len = strlen(key);
    size_t visible = 0;

    while (key[visible] >= '!' && key[visible] <= '~')
        visible++;
    return (len >= 1 && len <= LIMIT_IDEMPOTENCY_BYTES && visible == len) ||
           dsc_fail(err, FAULT_MALFORMED_HEADER, "Idempotency-Key",
                    "must be 1 to %d visible ASCII characters, not \"%.60s\"",
                    LIMIT_IDEMPOTENCY_BYTES, key);
}

/* --- taking turns --- */

static bool at_work(const struct idempotency *idempotency, const char *name)
{
    const struct idempotency_claim *claim = idempotency->first;

    while (claim && strcmp(claim->name, name) != 0)
        claim = claim->next;
    return claim != NULL;
}

static void enter(struct idempotency *idempotency, struct idempotency_claim *claim)
{
    pthread_mutex_lock(&idempotency->lock);
    while (at_work(idempotency, claim->name))
        pthread_cond_wait(&idempotency->ended, &idempotency->lock);
    claim->next = idempotency->first;
    idempotency->first = claim;
    pthread_mutex_unlock(&idempotency->lock);
}

static void leave(struct idempotency *idempotency, struct idempotency_claim *claim)
{
    struct idempotency_claim **at = &idempotency->first;

    pthread_mutex_lock(&idempotency->lock);
    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    pthread_cond_broadcast(&idempotency->ended);
    pthread_mutex_unlock(&idempotency->lock);
}

/* --- answers --- */

enum { NONCE = crypto_secretbox_NONCEBYTES, MAC = crypto_secretbox_MACBYTES };

/* A nonce, then the box. NULL when there is no memory. */
static struct buf *seal(const struct buf *answer, const unsigned char secret[32])
{
    struct buf *const sealed = buf_new(NONCE + MAC + answer->len);

    if (!sealed)
        return NULL;
    randombytes_buf(sealed->data, NONCE);
    crypto_secretbox_easy(sealed->data + NONCE, answer->data, answer->len, sealed->data, secret);
    sealed->len = NONCE + MAC + answer->len;
    return sealed;
}

/* NULL when there is none, it does not open, or there is no memory. */
static struct buf *unseal(const struct buf *sealed, const unsigned char secret[32])
{
    if (!sealed || sealed->len < NONCE + MAC)
        return NULL;
    struct buf *const answer = buf_new(sealed->len - NONCE - MAC);
    if (answer && crypto_secretbox_open_easy(answer->data, sealed->data + NONCE,
                                             sealed->len - NONCE, sealed->data, secret) == 0) {
        answer->len = sealed->len - NONCE - MAC;
        return answer;
    }
    buf_drop(answer);
    return NULL;
}

/* --- the way of a claim --- */

static bool compare(struct idempotency_claim *claim, const struct claim_row *row,
                    const char *request, dsc_err *err)
{
    claim->id = row->id;
    if (strcmp(row->request, request) != 0)
        return dsc_fail(err, FAULT_IDEMPOTENCY_MISMATCH, "Idempotency-Key",
                        "was used for another request, or another body");
    claim->answer = unseal(row->answer, claim->secret);
    (void)snprintf(claim->location, sizeof claim->location, "%s", row->location);
    return true;
}

static bool find_or_insert(struct idempotency *idempotency, struct idempotency_claim *claim,
                           const char *request, dsc_err *err)
{
    struct claim_row row = {.key = claim->name, .request = request};
    bool found, ok;
    dsc_arena arena;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    ok = store_claim_find(idempotency->store, claim->name, &row, &found, &arena, err);
    if (ok && found) {
        ok = compare(claim, &row, request, err);
        buf_drop(row.answer);
    } else if (ok) {
        ok = store_claim_insert(idempotency->store, &row, err);
        claim->id = row.id;
    }
    dsc_arena_release(&arena);
    return ok;
}

bool idempotency_begin(struct idempotency *idempotency, const struct idempotency_request *request,
                       struct idempotency_claim *claim, dsc_err *err)
{
    unsigned char name[32];
    char hash[65];

    *claim = (struct idempotency_claim) {.id = 0};
    if (!check_key(request->key, err))
        return false;
    hash_key(name, "name", request);
    hash_key(claim->secret, "answer", request);
    sodium_bin2hex(claim->name, sizeof claim->name, name, sizeof name);
    hash_request(hash, request);
    enter(idempotency, claim);
    if (find_or_insert(idempotency, claim, hash, err))
        return true;
    leave(idempotency, claim);
    return false;
}

static void keep(struct idempotency *idempotency, const struct idempotency_claim *claim,
                 const struct buf *answer)
{
    struct buf *const sealed = seal(answer, claim->secret);

    if (!sealed ||
        !store_claim_answer(idempotency->store, claim->id, sealed->data, sealed->len, NULL))
        log_line(LOG_WARN, "idempotency", "an answer could not be kept");
    buf_drop(sealed);
}

void idempotency_end(struct idempotency *idempotency, struct idempotency_claim *claim,
                     const struct buf *answer)
{
    if (answer && answer->len <= LIMIT_IDEMPOTENCY_ANSWER_BYTES)
        keep(idempotency, claim, answer);
    else if (!answer && !store_claim_drop(idempotency->store, claim->id, NULL))
        log_line(LOG_WARN, "idempotency", "a claim of a request that failed stays for a day");
    sodium_memzero(claim->secret, sizeof claim->secret);
    leave(idempotency, claim);
}

/* --- life --- */

bool idempotency_open(struct idempotency **out, struct store *store, dsc_err *err)
{
    struct idempotency *const idempotency = calloc(1, sizeof *idempotency);

    if (!idempotency || sodium_init() < 0) {
        free(idempotency);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for idempotency keys");
    }
    idempotency->store = store;
    pthread_mutex_init(&idempotency->lock, NULL);
    pthread_cond_init(&idempotency->ended, NULL);
    *out = idempotency;
    return true;
}

void idempotency_close(struct idempotency *idempotency)
{
    if (!idempotency)
        return;
    pthread_cond_destroy(&idempotency->ended);
    pthread_mutex_destroy(&idempotency->lock);
    free(idempotency);
}
