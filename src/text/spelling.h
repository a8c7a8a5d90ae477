/* Tokens and merges as files spell them: bytes as characters, spaces as U+2581, bytes as <0x0A>. */
#ifndef WGI_TEXT_SPELLING_H
#define WGI_TEXT_SPELLING_H
#include "tokenizer.h"

/* Sets token id from its spelling, read by t->byte_level, .marks_spaces and .byte_fallback. Raises
 * WG_EFORMAT for an id out of range (limit: ids are below it), WG_EMEM. */
wg_status wgi_put_spelled(wg_tokenizer *t, int64_t id, int64_t limit, const char *text, size_t n,
                          int type, const char *what);
/* The other way: how a file spells token id. Appends to out; WG_EMEM without raising. */
wg_status wgi_spell(const wg_tokenizer *t, int64_t id, wgi_buffer *out);

/* Merges that are read one after the other, as spellings. */
typedef struct {
    wgi_index index; /* from spelling to id */
    wgi_buffer joined;
    uint32_t rank;
} wgi_merges;
/* Adds the merge of two spellings. */
wg_status wgi_merges_put(wgi_merges *m, wg_tokenizer *t, const char *left, size_t left_size,
                         const char *right, size_t right_size, const char *what);
/* The same for "left right". */
wg_status wgi_merges_put_line(wgi_merges *m, wg_tokenizer *t, const char *line, size_t n,
                              const char *what);
void wgi_merges_free(wgi_merges *m);
#endif
