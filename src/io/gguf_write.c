/* A GGUF file from what a writer collected. */
#include <inttypes.h>
#include <stdlib.h>

#include "io/elements.h"
#include "io/gguf_writer.h"
#include "tensor/internal.h"

/* general.alignment if it is set: the format wants a multiple of 8, ggml a power of two. */
static wg_status find_align(wg_gguf_writer *w, uint64_t *align)
{
    const wgi_gguf_pair *p = wgi_gguf_pair_of(w, "general.alignment");
    *align = WGI_GGUF_ALIGN;
    if (!p) return WG_OK;
    uint32_t type;
    int64_t n = 0;
    memcpy(&type, p->value.data, sizeof type);
    const wgi_gguf_value v = { .type = (wg_gguf_type)type,
                               .numbers = wgi_gguf_type_bytes((wg_gguf_type)type)
                                              ? p->value.data + sizeof type
                                              : NULL };
    if (!wgi_gguf_load_int(&v, 0, &n) || n < 8 || n > 1 << 30 || (n & (n - 1)) != 0)
        return wg_raise(WG_EARG, "gguf_write: general.alignment is no power of two from 8 to 2^30");
    *align = (uint64_t)n;
    return WG_OK;
}

static uint64_t aligned(uint64_t at, uint64_t align)
{
    return (at + align - 1) & ~(align - 1);
}

static wg_status place_tensors(wg_gguf_writer *w, uint64_t align)
{
    uint64_t at = 0;
    for (int64_t i = 0; i < w->n_tensors; i++) {
        w->tensors[i].begin = at;
        at += w->tensors[i].bytes;
        if (w->tensors[i].bytes > INT64_MAX - align || at > INT64_MAX - align)
            return wg_raise(WG_ESHAPE, "gguf_write: the size of all tensors overflows");
        at = aligned(at, align);
    }
    return WG_OK;
}

static wg_status add_name(wgi_bytes *b, const char *name)
{
    const uint64_t n = strlen(name);
    const wg_status st = wgi_bytes_add(b, &n, sizeof n);
    return st ? st : wgi_bytes_add(b, name, (size_t)n);
}

/* ggml lists the innermost dimension first. */
static wg_status describe(wgi_bytes *b, const wgi_gguf_output *o)
{
    const wg_tensor *t = o->tensor;
    const uint32_t n = t->ndim, number = (uint32_t)wgi_gguf_number_of((wg_dtype)t->dtype);
    wg_status st = add_name(b, o->name);
    if (!st) st = wgi_bytes_add(b, &n, sizeof n);
    for (int i = t->ndim - 1; i >= 0 && !st; i--) st = wgi_bytes_add(b, &t->shape[i], 8);
    if (!st) st = wgi_bytes_add(b, &number, sizeof number);
    return st ? st : wgi_bytes_add(b, &o->begin, sizeof o->begin);
}

static wg_status pad(wgi_bytes *b, uint64_t align)
{
    static const unsigned char zeros[64];
    wg_status st = WG_OK;
    for (size_t n = (size_t)(aligned(b->n, align) - b->n); n > 0 && !st;) {
        const size_t piece = n < sizeof zeros ? n : sizeof zeros;
        st = wgi_bytes_add(b, zeros, piece);
        n -= piece;
    }
    return st;
}

static wg_status make_header(const wg_gguf_writer *w, uint64_t align, wgi_bytes *b)
{
    const uint32_t version = 3;
    const uint64_t tensors = (uint64_t)w->n_tensors, pairs = (uint64_t)w->n_pairs;
    wg_status st = wgi_bytes_add(b, WGI_GGUF_MAGIC, 4);
    if (!st) st = wgi_bytes_add(b, &version, sizeof version);
    if (!st) st = wgi_bytes_add(b, &tensors, sizeof tensors);
    if (!st) st = wgi_bytes_add(b, &pairs, sizeof pairs);
    for (int64_t i = 0; i < w->n_pairs && !st; i++) {
        st = add_name(b, w->pairs[i].key);
        if (!st) st = wgi_bytes_add(b, w->pairs[i].value.data, w->pairs[i].value.n);
    }
    for (int64_t i = 0; i < w->n_tensors && !st; i++) st = describe(b, &w->tensors[i]);
    return st ? st : pad(b, align);
}

static wg_status write_file(const wg_gguf_writer *w, const char *path, uint64_t align,
                            const wgi_bytes *header)
{
    wgi_bytes zeros = { 0 };
    void *room = wgi_malloc(WGI_PIECE);
    wg_status st = room ? WG_OK : wg_raise(WG_EMEM, "%s: out of memory", path);
    wgi_replace r = { .fd = -1 };
    if (!st) st = wgi_bytes_add(&zeros, "", 1);
    if (!st) st = pad(&zeros, align);
    if (!st) st = wgi_replace_begin(&r, path);
    if (!st) st = wgi_replace_write(&r, header->data, header->n);
    for (int64_t i = 0; i < w->n_tensors && !st; i++) {
        const wgi_gguf_output *o = &w->tensors[i];
        st = wgi_write_elements(&r, o->tensor, room);
        /* ggml reads the padding behind the last one too. */
        if (!st)
            st = wgi_replace_write(&r, zeros.data, (size_t)(aligned(o->bytes, align) - o->bytes));
    }
    if (!st)
        st = wgi_replace_commit(&r);
    else
        wgi_replace_abort(&r);
    free(zeros.data);
    free(room);
    return st;
}

wg_status wg_gguf_write(wg_gguf_writer *w, const char *path)
{
    if (wg_error_code()) return wg_error_code();
    if (!w || !path) return wg_raise(WG_EARG, "gguf_write: no writer or no path given");
    uint64_t align;
    wgi_bytes header = { 0 };
    wg_status st = find_align(w, &align);
    if (!st) st = place_tensors(w, align);
    if (!st) st = make_header(w, align, &header);
    if (!st) st = write_file(w, path, align, &header);
    free(header.data);
    return st;
}
