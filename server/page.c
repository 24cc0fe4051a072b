#include "page.h"
#include "fault.h"
#include <assert.h>
#include <sodium.h>
#include <string.h>

enum { MARK_BYTES = 9, DIGEST_BYTES = crypto_generichash_BYTES };

/* The first bytes of the hash of list, a NUL, and key. */
static void mark_of(unsigned char mark[MARK_BYTES], const char *list, const char *key)
{
    crypto_generichash_state state;
    unsigned char digest[DIGEST_BYTES];

    crypto_generichash_init(&state, NULL, 0, sizeof digest);
    crypto_generichash_update(&state, (const unsigned char *)list, strlen(list) + 1);
    crypto_generichash_update(&state, (const unsigned char *)key, strlen(key));
    crypto_generichash_final(&state, digest, sizeof digest);
    memcpy(mark, digest, MARK_BYTES);
}

void page_token_write(char token[PAGE_TOKEN_BYTES], const char *list, const char *key)
{
    unsigned char bytes[MARK_BYTES + PAGE_KEY_BYTES];
    const size_t len = strlen(key);

    assert(len < PAGE_KEY_BYTES);
    mark_of(bytes, list, key);
    memcpy(bytes + MARK_BYTES, key, len);
    sodium_bin2base64(token, PAGE_TOKEN_BYTES, bytes, MARK_BYTES + len,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool page_token_read(char key[PAGE_KEY_BYTES], const char *list, const char *token, dsc_err *err)
{
    unsigned char bytes[MARK_BYTES + PAGE_KEY_BYTES], mark[MARK_BYTES] = {0};
    size_t len = 0;

    const bool whole = sodium_base642bin(bytes, sizeof bytes - 1, token, strlen(token), NULL, &len,
                                         NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
                       len > MARK_BYTES;
    if (whole) {
        memcpy(key, bytes + MARK_BYTES, len - MARK_BYTES);
        key[len - MARK_BYTES] = '\0';
        mark_of(mark, list, key);
    }
    return (whole && memcmp(mark, bytes, MARK_BYTES) == 0) ||
           dsc_fail(err, FAULT_INVALID_VALUE, "page_token",
                    "\"%.40s\" is not a next_page_token of this listing", token);
}
