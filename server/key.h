/* key.h -- API keys: their text, and the check of every request
 *
 * A key is the text descent_<id>_<secret>: 16 hexadecimal digits that name it, and 256 random bits
 * in base64url. The database has the text's SHA-256. (A slow hash is for passwords, which can be
 * guessed; 2^256 texts cannot, and the check is on the network thread.)
 *
 * The keyring is a cache of the table in front of a connection of its own, so that the network
 * thread, which calls keyring_admit, waits neither for the disk nor for a thread that does: a
 * reader in WAL mode waits for nobody. A key that is not in the cache is looked up by its id, so
 * one made by another process (`descent key create`) works at once, and a made-up one costs one
 * search in an index. Changes go through the API, which tells the keyring to forget. */
#ifndef KEY_H
#define KEY_H

#include "pool.h"
#include "quota.h"
#include "scope.h"
#include "store.h"

#define KEY_ID_BYTES 17 /* with the NUL */

/* A key that was just made. The text is for its holder's eyes, once. */
struct key_text {
    char id[KEY_ID_BYTES];
    char prefix[8 + KEY_ID_BYTES]; /* "descent_0123456789abcdef": safe to show */
    char text[80];
    char hash[65]; /* hexadecimal, as the database has it */
};

/* Make a key, or a new secret for the id of one (NULL: a new id). Any thread. */
void key_make(struct key_text *out, const char *id);

/* A key without expiry in the database. FAULT_ALREADY_EXISTS, FAULT_QUOTA_EXCEEDED. May wait for a
 * disk. */
bool key_create(struct store *store, const char *name, scope_set scopes, int64_t expires_at,
                struct key_text *out, dsc_err *err) DSC_MUST_CHECK;

struct keyring;

struct keyring_options {
    const char *dir;        /* of the database                                           */
    struct store *store;    /* where last_used_at is written; borrowed                   */
    struct pool *control;   /* by tasks of this pool; borrowed                           */
    bool required;          /* false: who sends no key may do everything                 */
    const char *configured; /* a key with every scope that is in no database; or NULL    */
};

/* *out is the caller's. FAULT_INVALID_VALUE for a configured key that is too short to be safe. */
bool keyring_open(struct keyring **out, const struct keyring_options *options,
                  dsc_err *err) DSC_MUST_CHECK;
void keyring_close(struct keyring *keyring); /* after the pool; NULL is fine */

/* The same for a row with everything but id, hash and times, which are filled. */
bool key_create_row(struct store *store, struct key_row *row, struct key_text *out,
                    dsc_err *err) DSC_MUST_CHECK;

/* May who sends this Authorization header (NULL: none) do this? A key that is sent is checked even
 * where none is required. FAULT_UNAUTHENTICATED, FAULT_FORBIDDEN, FAULT_QUOTA_EXCEEDED when it has
 * sent too many requests; *quota says how many it may still send. Network thread. */
bool keyring_admit(struct keyring *keyring, const char *authorization, enum scope scope,
                   struct quota *quota, dsc_err *err) DSC_MUST_CHECK;

/* The key has changed or is gone: the next request reads it again. After the change is durable; any
 * thread. */
void keyring_forget(struct keyring *keyring, const char *id);

/* When the key was last used as far as the cache knows; 0 when it does not. Any thread. */
int64_t keyring_last_used(struct keyring *keyring, const char *id);

#endif
