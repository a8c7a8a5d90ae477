/* The inside of token sequences. */
#ifndef WGI_DATA_TOKENS_H
#define WGI_DATA_TOKENS_H
#include <stdatomic.h>

#include "io/mapping.h"
#include "wengert/data.h"

typedef struct {
    atomic_int refs;
    int width;       /* bytes of an id: 1, 2, 4 */
    const void *ids; /* (count) */
    int64_t count, vocab;
    wgi_mapping *mapping; /* holds ids; NULL: they are malloc'd */
    uint32_t *chars;      /* (vocab) code points in rising order; NULL for bytes and shards */
    bool bytes;           /* ids are bytes of a text */
} wgi_token_data;

struct wg_tokens {
    wgi_token_data *data;
    int64_t first, count; /* the part of data */
};

/* Takes over what d holds (freed on failure); NULL and WG_EMEM. */
wg_tokens *wgi_tokens_new(wgi_token_data d);
wgi_token_data *wgi_token_data_ref(wgi_token_data *d);
void wgi_token_data_unref(wgi_token_data *d);

/* Bytes of an id below vocab. */
int wgi_token_width(int64_t vocab);
/* ids[i] = id, unchecked. */
void wgi_token_store(void *ids, int width, int64_t i, uint32_t id);

/* Id i of the whole data, unchecked. */
static inline int64_t wgi_token(const wgi_token_data *d, int64_t i)
{
    if (d->width == 1) return ((const uint8_t *)d->ids)[i];
    if (d->width == 2) return ((const uint16_t *)d->ids)[i];
    return ((const uint32_t *)d->ids)[i];
}
#endif
