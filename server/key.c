#include "key.h"
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

enum { HASH_BYTES = crypto_hash_sha256_BYTES, SECRET_BYTES = 32, SLOTS = 1024 };

static const char lead[] = "descent_";

/* --- texts --- */

static void hash_text(unsigned char out[HASH_BYTES], const char *text)
{
    crypto_hash_sha256(out, (const unsigned char *)text, strlen(text));
}

static void random_bytes(unsigned char *out, size_t len)
{
    if (getrandom(out, len, 0) != (ssize_t)len)
        abort(); /* cannot happen for so few bytes once the kernel's pool is ready */
}

void key_make(struct key_text *out, const char *id)
{
    unsigned char bytes[SECRET_BYTES], hash[HASH_BYTES];
    char secret[48];

    random_bytes(bytes, 8);
    if (id)
        snprintf(out->id, sizeof out->id, "%s", id);
    else
        sodium_bin2hex(out->id, sizeof out->id, bytes, 8);
    random_bytes(bytes, sizeof bytes);
    sodium_bin2base64(secret, sizeof secret, bytes, sizeof bytes,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(out->prefix, sizeof out->prefix, "%s%s", lead, out->id);
    snprintf(out->text, sizeof out->text, "%s_%s", out->prefix, secret);
    hash_text(hash, out->text);
    sodium_bin2hex(out->hash, sizeof out->hash, hash, sizeof hash);
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(secret, sizeof secret);
}

bool key_create_row(struct store *store, struct key_row *row, struct key_text *out, dsc_err *err)
{
    if (sodium_init() < 0)
        return dsc_fail(err, FAULT_INTERNAL, "", "libsodium does not start");
    key_make(out, NULL);
    row->id = out->id;
    row->hash = out->hash;
    row->created_at = row->rotated_at = clock_ms();
    return store_key_insert(store, row, err);
}

bool key_create(struct store *store, const char *name, scope_set scopes, int64_t expires_at,
                struct key_text *out, dsc_err *err)
{
    char words[SCOPE_TEXT_BYTES];
    struct key_row row = {.name = name, .scopes = words, .expires_at = expires_at};

    scope_format(scopes, words);
    return key_create_row(store, &row, out, err);
}

/* The id in a key's text; false when it has not the form of one of ours. */
static bool read_id(char id[KEY_ID_BYTES], const char *text)
{
    size_t len = strlen(lead);

    if (strncmp(text, lead, len) != 0)
        return false;
    text += len;
    if (strspn(text, "0123456789abcdef") != KEY_ID_BYTES - 1 || text[KEY_ID_BYTES - 1] != '_')
        return false;
    memcpy(id, text, KEY_ID_BYTES - 1);
    id[KEY_ID_BYTES - 1] = '\0';
    return true;
}

/* --- the cache --- */

/* A key as the check needs it. A slot is found by the first digits of the id; two keys that share
 * one take turns in it, which costs a search each time and nothing else. */
struct slot {
    char id[KEY_ID_BYTES]; /* "" when empty */
    unsigned char hash[HASH_BYTES];
    scope_set scopes;
    int64_t expires_at, last_used, touched; /* milliseconds; touched: what the database has */
    int64_t requests_per_minute;            /* 0: no bound */
};

struct keyring {
    pthread_mutex_t lock; /* of the slots, quotas and `reader`; not held while waiting for a disk */
    struct quotas *quotas;
    struct slot slot[SLOTS];
    struct store *reader;
    struct store *store;
    struct pool *control;
    bool required, has_configured;
    unsigned char configured[HASH_BYTES];
};

static struct slot *slot_of(struct keyring *keyring, const char *id)
{
    char digits[4] = {id[0], id[1], id[2], '\0'};

    return &keyring->slot[strtoul(digits, NULL, 16) % SLOTS];
}

static bool load(struct keyring *keyring, const char *id, struct slot *slot, dsc_err *err)
{
    struct key_row row;
    dsc_arena arena;
    size_t len = 0;

    slot->id[0] = '\0';
    dsc_arena_init(&arena, LIMIT_CONTROL_BYTES);
    bool ok = store_key_find(keyring->reader, id, &row, &arena, err) &&
              scope_parse(&slot->scopes, row.scopes, "", err);
    if (ok && (sodium_hex2bin(slot->hash, sizeof slot->hash, row.hash, strlen(row.hash), NULL, &len,
                              NULL) != 0 ||
               len != sizeof slot->hash))
        ok = dsc_fail(err, FAULT_INTERNAL, "", "the key's row is damaged");
    if (ok) {
        strcpy(slot->id, id); /* of that length */
        slot->expires_at = row.expires_at;
        slot->requests_per_minute = row.requests_per_minute;
        slot->last_used = slot->touched = row.last_used_at;
    }
    dsc_arena_release(&arena);
    return ok;
}

/* --- when a key was last used --- */

struct touch {
    struct task task; /* first: the pool hands it back */
    struct store *store;
    char id[KEY_ID_BYTES];
    int64_t at;
};

static void touch_run(struct task *task, float *work)
{
    struct touch *touch = (struct touch *)(void *)task; /* its first member */
    dsc_err err = {0};

    (void)work;
    if (!store_key_touch(touch->store, touch->id, touch->at, &err))
        (void)0; /* in the log already; the next one tries again */
    free(touch);
}

/* The use is known at once and in the database now and then; when the pool is full, later. */
static void note_use(struct keyring *keyring, struct slot *slot, int64_t now)
{
    slot->last_used = now;
    if (now - slot->touched < LIMIT_KEY_TOUCH_SECONDS * 1000)
        return;
    struct touch *touch = malloc(sizeof *touch);
    if (!touch)
        return;
    *touch = (struct touch) {.task.run = touch_run, .store = keyring->store, .at = now};
    strcpy(touch->id, slot->id);
    if (pool_submit(keyring->control, &touch->task))
        slot->touched = now;
    else
        free(touch);
}

/* --- the check --- */

/* The key in "Bearer KEY"; NULL when the header is of another kind. */
static const char *bearer(const char *authorization)
{
    if (!authorization || strncasecmp(authorization, "Bearer", 6) != 0 || authorization[6] != ' ')
        return NULL;
    return authorization + 6 + strspn(authorization + 6, " ");
}

static bool refuse(dsc_err *err)
{
    return dsc_fail(err, FAULT_UNAUTHENTICATED, "Authorization", "names no valid key");
}

static bool allowed(const struct slot *slot, enum scope scope, dsc_err *err)
{
    if (scope == SCOPE_ANY || (slot->scopes & scope_bit(scope)))
        return true;
    return dsc_fail(err, FAULT_FORBIDDEN, "Authorization", "the key lacks the scope %s",
                    scope_word(scope));
}

/* Counted before the scope is looked at: a request that is refused for it was sent all the same. */
static bool within_quota(struct keyring *keyring, const struct slot *slot, int64_t now,
                         struct quota *quota, dsc_err *err)
{
    if (slot->requests_per_minute == 0 ||
        quota_take(keyring->quotas, slot->id, slot->requests_per_minute, now, quota))
        return true;
    return dsc_fail(err, FAULT_QUOTA_EXCEEDED, "",
                    "the key may send %lld requests a minute; try again in %lld s",
                    (long long)quota->limit, (long long)quota->retry_s);
}

static bool admit_stored(struct keyring *keyring, const char *id,
                         const unsigned char hash[HASH_BYTES], enum scope scope,
                         struct quota *quota, dsc_err *err)
{
    struct slot *slot = slot_of(keyring, id);
    const int64_t now = clock_ms();
    dsc_err failure = {0};

    if (strcmp(slot->id, id) != 0 && !load(keyring, id, slot, &failure)) {
        if (failure.code == FAULT_NOT_FOUND)
            return refuse(err);
        *err = failure;
        return false;
    }
    if (sodium_memcmp(slot->hash, hash, HASH_BYTES) != 0)
        return refuse(err);
    if (slot->expires_at && now >= slot->expires_at)
        return dsc_fail(err, FAULT_UNAUTHENTICATED, "Authorization", "the key has expired");
    note_use(keyring, slot, now);
    return within_quota(keyring, slot, now, quota, err) && allowed(slot, scope, err);
}

bool keyring_admit(struct keyring *keyring, const char *authorization, enum scope scope,
                   struct quota *quota, dsc_err *err)
{
    const char *text = bearer(authorization);
    unsigned char hash[HASH_BYTES];
    char id[KEY_ID_BYTES];

    *quota = (struct quota) {.limit = 0};
    if (scope == SCOPE_NONE)
        return true;
    if (scope <= SCOPE_UNDECLARED || scope >= SCOPE_END) /* a row that forgot: nobody may */
        return dsc_fail(err, FAULT_FORBIDDEN, "", "the route declares no scope");
    if (!text && !keyring->required)
        return true;
    if (!text)
        return dsc_fail(err, FAULT_UNAUTHENTICATED, "Authorization",
                        "%s; send Authorization: Bearer KEY",
                        authorization ? "is no bearer token" : "is missing");
    if (strlen(text) > LIMIT_KEY_BYTES)
        return refuse(err);
    hash_text(hash, text);
    if (keyring->has_configured && sodium_memcmp(hash, keyring->configured, HASH_BYTES) == 0)
        return true;
    if (!read_id(id, text))
        return refuse(err);
    pthread_mutex_lock(&keyring->lock);
    bool ok = admit_stored(keyring, id, hash, scope, quota, err);
    pthread_mutex_unlock(&keyring->lock);
    return ok;
}

/* --- life --- */

static bool configure(struct keyring *keyring, const char *text, dsc_err *err)
{
    size_t len = text ? strlen(text) : 0;

    if (!text)
        return true;
    for (const char *c = text; *c; c++)
        if (*c < 0x21 || *c > 0x7e)
            len = 0;
    if (len < LIMIT_KEY_BYTES_MIN || len > LIMIT_KEY_BYTES)
        return dsc_fail(err, FAULT_INVALID_VALUE, "api-key",
                        "must be %d to %d visible ASCII characters, such as `openssl rand -hex 32` "
                        "prints",
                        LIMIT_KEY_BYTES_MIN, LIMIT_KEY_BYTES);
    hash_text(keyring->configured, text);
    return keyring->has_configured = true;
}

bool keyring_open(struct keyring **out, const struct keyring_options *options, dsc_err *err)
{
    struct keyring *keyring = calloc(1, sizeof *keyring);

    if (!keyring)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the keys");
    keyring->store = options->store;
    keyring->control = options->control;
    keyring->required = options->required;
    pthread_mutex_init(&keyring->lock, NULL);
    keyring->quotas = quotas_new();
    if (!keyring->quotas || sodium_init() < 0)
        dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the keys");
    else if (configure(keyring, options->configured, err) &&
             store_open(&keyring->reader, options->dir, err)) {
        *out = keyring;
        return true;
    }
    keyring_close(keyring);
    return false;
}

void keyring_close(struct keyring *keyring)
{
    if (!keyring)
        return;
    store_close(keyring->reader);
    quotas_free(keyring->quotas);
    pthread_mutex_destroy(&keyring->lock);
    sodium_memzero(keyring, sizeof *keyring);
    free(keyring);
}

void keyring_forget(struct keyring *keyring, const char *id)
{
    pthread_mutex_lock(&keyring->lock);
    struct slot *slot = slot_of(keyring, id);
    if (strcmp(slot->id, id) == 0)
        slot->id[0] = '\0';
    pthread_mutex_unlock(&keyring->lock);
}

int64_t keyring_last_used(struct keyring *keyring, const char *id)
{
    pthread_mutex_lock(&keyring->lock);
    const struct slot *slot = slot_of(keyring, id);
    int64_t at = strcmp(slot->id, id) == 0 ? slot->last_used : 0;
    pthread_mutex_unlock(&keyring->lock);
    return at;
}
