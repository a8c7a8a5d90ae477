/* What happens to a text before it is cut into words: Hugging Face's normalizers, SentencePiece's.
 */
#ifndef WGI_TEXT_NORMALIZE_H
#define WGI_TEXT_NORMALIZE_H
#include "added.h"

typedef enum {
    WGI_NORM_NFC,
    WGI_NORM_NFD,
    WGI_NORM_NFKC,
    WGI_NORM_NFKD,
    WGI_NORM_PREPEND, /* `to`, before a text that is not empty */
    WGI_NORM_REPLACE  /* every `from` by `to` */
} wgi_norm_kind;

typedef struct {
    wgi_norm_kind kind;
    char *from, *to;
} wgi_norm_step;

/* SentencePiece's compiled character map: a double array of the Darts-clone library, which finds
 * the longest key at a place, and NUL-terminated replacements. */
typedef struct {
    uint32_t *units; /* (n) */
    size_t n;
    char *texts; /* (size), the last byte NUL */
    size_t size;
} wgi_charsmap;

enum { WGI_MAX_NORM_STEPS = 8 };
typedef struct {
    int n;
    wgi_norm_step step[WGI_MAX_NORM_STEPS];
    bool squeezes; /* SentencePiece's remove_extra_whitespaces */
    wgi_charsmap map;
} wgi_normalizer;

/* A text that grows; zero is empty. */
typedef struct {
    char *bytes;
    size_t n, room;
} wgi_buffer;
/* WG_EMEM without raising. */
wg_status wgi_buffer_put(wgi_buffer *b, const char *bytes, size_t n);

/* U+2581, which SentencePiece writes for a space. */
#define WGI_SPACE_MARK "\xE2\x96\x81"

/* Adds a step, copying the texts (NULL for those that have none). */
wg_status wgi_normalizer_add(wgi_normalizer *z, wgi_norm_kind kind, const char *from,
                             const char *to, const char *what);
/* Sets the map from SentencePiece's precompiled_charsmap. WG_EFORMAT, WG_EMEM. */
wg_status wgi_charsmap_read(wgi_charsmap *m, const char *blob, size_t n, const char *what);
/* How many bytes of text the longest key takes, and what it becomes; 0: none. */
size_t wgi_charsmap_find(const wgi_charsmap *m, const char *text, size_t n, const char **to);
void wgi_normalizer_free(wgi_normalizer *z);

/* Normalises *text, *n bytes: afterwards they are either unchanged or one of the two buffers, which
 * are written in turn. Bytes that are no UTF-8 stay. kept: tokens that stay as they are. WG_EMEM
 * without raising. */
wg_status wgi_normalize(const wgi_normalizer *z, const wgi_added *kept, const char **text,
                        size_t *n, wgi_buffer buffers[2]);
#endif
