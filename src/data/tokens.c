#include "tokens.h"

#include <stdlib.h>

static void clear(wgi_token_data *d)
{
    if (d->mapping)
        wgi_mapping_unref(d->mapping);
    else
        free((void *)(uintptr_t)d->ids);
    free(d->chars);
}

wgi_token_data *wgi_token_data_ref(wgi_token_data *d)
{
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void wgi_token_data_unref(wgi_token_data *d)
{
    if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1) return;
    clear(d);
    free(d);
}

/* A handle on [first, first + count) of data; takes over one reference. */
static wg_tokens *handle(wgi_token_data *data, int64_t first, int64_t count)
{
    wg_tokens *t = malloc(sizeof *t);
    if (!t) {
        wgi_token_data_unref(data);
        wg_raise(WG_EMEM, "tokens: out of memory");
        return NULL;
    }
    *t = (wg_tokens) { data, first, count };
    return t;
}

wg_tokens *wgi_tokens_new(wgi_token_data d)
{
    wgi_token_data *data = malloc(sizeof *data);
    if (!data) {
        clear(&d);
        wg_raise(WG_EMEM, "tokens: out of memory");
        return NULL;
    }
    *data = d;
    atomic_init(&data->refs, 1);
    return handle(data, 0, d.count);
}

void wgi_token_store(void *ids, int width, int64_t i, uint32_t id)
{
    if (width == 1)
        ((uint8_t *)ids)[i] = (uint8_t)id;
    else if (width == 2)
        ((uint16_t *)ids)[i] = (uint16_t)id;
    else
        ((uint32_t *)ids)[i] = id;
}

int wgi_token_width(int64_t vocab)
{
    return vocab <= 1 << 8 ? 1 : vocab <= 1 << 16 ? 2 : 4;
}

wg_tokens *(wg_tokens_ids)(const int64_t *ids, int64_t n, int64_t vocab)
{
    if (wg_error_code()) return NULL;
    if (n < 0 || (n && !ids) || vocab < 1 || vocab > (int64_t)1 << 32) {
        wg_raise(WG_EARG, "tokens_ids: %lld ids of a vocabulary of %lld%s", (long long)n,
                 (long long)vocab, n > 0 && !ids ? ", NULL" : "");
        return NULL;
    }
    const int width = wgi_token_width(vocab);
    void *copy = n < INT64_MAX / 4 ? malloc((size_t)n * (size_t)width + 1) : NULL;
    if (!copy) {
        wg_raise(WG_EMEM, "tokens_ids: out of memory");
        return NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= 0 && ids[i] < vocab) {
            wgi_token_store(copy, width, i, (uint32_t)ids[i]);
            continue;
        }
        wg_raise(WG_EINDEX, "tokens_ids: id %lld at %lld, the vocabulary has %lld",
                 (long long)ids[i], (long long)i, (long long)vocab);
        free(copy);
        return NULL;
    }
    return wgi_tokens_new(
        (wgi_token_data) { .width = width, .ids = copy, .count = n, .vocab = vocab });
}

wg_tokens *wg_tokens_part(wg_tokens *t, int64_t first, int64_t last)
{
    if (!t) {
        wg_raise(WG_EARG, "tokens_part: no tokens given");
        return NULL;
    }
    if (first < 0 || last < first || last > t->count) {
        wg_raise(WG_EINDEX, "tokens_part: [%lld, %lld) of %lld tokens", (long long)first,
                 (long long)last, (long long)t->count);
        return NULL;
    }
    return handle(wgi_token_data_ref(t->data), t->first + first, last - first);
}

void wg_tokens_free(wg_tokens *t)
{
    if (!t) return;
    wgi_token_data_unref(t->data);
    free(t);
}

int64_t wg_tokens_count(const wg_tokens *t)
{
    return t ? t->count : 0;
}
int64_t wg_tokens_vocab(const wg_tokens *t)
{
    return t ? t->data->vocab : 0;
}

int64_t wg_tokens_at(const wg_tokens *t, int64_t i)
{
    return t && i >= 0 && i < t->count ? wgi_token(t->data, t->first + i) : -1;
}
