/* Tokens that are looked for in a text before it is cut into words: special ones, and those that a
 * vocabulary's user added. */
#ifndef WGI_TEXT_ADDED_H
#define WGI_TEXT_ADDED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wengert/error.h"

typedef struct {
    const char *bytes; /* (size), the vocabulary's or the set's own */
    size_t size;
    int32_t id;
    bool special;     /* found only if special tokens are asked for */
    bool left, right; /* takes the white space before it, after it, too */
    bool own;         /* bytes are freed with the set */
} wgi_added_token;

/* A set that is searched for the longest token at the leftmost place. */
typedef struct {
    wgi_added_token *tokens; /* (n), by their bytes after wgi_added_sort */
    int64_t n, room;
    uint8_t first[256]; /* how a token may begin: 1 special, 2 others */
} wgi_added;

/* Adds a token; its bytes are copied if copy is set. WG_EMEM without raising. Empty ones are left
 * out. */
wg_status wgi_added_put(wgi_added *a, wgi_added_token token, bool copy);
void wgi_added_sort(wgi_added *a);
void wgi_added_free(wgi_added *a);

/* The longest token that begins at text; NULL: none. */
const wgi_added_token *wgi_added_at(const wgi_added *a, const char *text, size_t n, bool special);
/* The first token in text, n bytes: *begin and *end are what it takes, white space included, not
 * before byte 0 of text. NULL: none. */
const wgi_added_token *wgi_added_next(const wgi_added *a, const char *text, size_t n, bool special,
                                      size_t *begin, size_t *end);
#endif
