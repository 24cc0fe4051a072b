/* page.h -- the tokens by which a listing goes on
 *
 * A token is the key of the last item that was looked at, behind a few bytes of a hash over it and
 * over what the listing is: a token that was altered, or that another listing or other filters
 * gave, is refused instead of giving a page of something else. It is opaque to clients, but no
 * secret. Any thread. */
#ifndef PAGE_H
#define PAGE_H

#include "core/descent.h"

/* A listing's key: a name, an id or a number. */
enum { PAGE_KEY_BYTES = 80, PAGE_TOKEN_BYTES = 160 };

/* `list` says what is listed: a path and its filters. A key longer than the room is our mistake. */
void page_token_write(char token[PAGE_TOKEN_BYTES], const char *list, const char *key);

/* FAULT_INVALID_VALUE with where = "page_token". */
bool page_token_read(char key[PAGE_KEY_BYTES], const char *list, const char *token,
                     dsc_err *err) DSC_MUST_CHECK;

#endif
