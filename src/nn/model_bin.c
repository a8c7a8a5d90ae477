/* Files of numbers and little else: llama2.c's first export format and llm.c's GPT-2. Both stack
 * each kind of tensor over the layers. Sources: https://github.com/karpathy/llama2.c (export.py,
 * legacy_export; run.c, memory_map_weights); https://github.com/karpathy/llm.c (train_gpt2.py,
 * write_model). */
#include <inttypes.h>
#include <string.h>

#include "nn/model.h"
#include "wengert/error.h"
#include "wengert/io.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* One kind of tensor, of all layers; WGI_PARTS: llama2.c's table of angles, which rope computes. */
typedef struct {
    wgi_part part;
    bool bias;
} kind;

static const kind llama2c[] = {
    { WGI_EMBED, false }, { WGI_NORM_1, false }, { WGI_Q, false },      { WGI_K, false },
    { WGI_V, false },     { WGI_OUT, false },    { WGI_NORM_2, false }, { WGI_GATE, false },
    { WGI_DOWN, false },  { WGI_UP, false },     { WGI_NORM, false },   { WGI_PARTS, false },
    { WGI_HEAD, false },
};

static const kind llmc[] = {
    { WGI_EMBED, false },  { WGI_POSITION, false }, { WGI_NORM_1, false }, { WGI_NORM_1, true },
    { WGI_QKV, false },    { WGI_QKV, true },       { WGI_OUT, false },    { WGI_OUT, true },
    { WGI_NORM_2, false }, { WGI_NORM_2, true },    { WGI_UP, false },     { WGI_UP, true },
    { WGI_DOWN, false },   { WGI_DOWN, true },      { WGI_NORM, false },   { WGI_NORM, true },
};

enum { LLAMA2C_HEADER = 7, LLMC_HEADER = 256, LLMC_MAGIC = 20240326 };

typedef struct {
    wgi_source base;
    wg_file *file;
    wg_dtype dtype;
    const kind *kinds; /* (n) in the file's order */
    int n;
    int64_t header;     /* bytes */
    int64_t vocab_rows; /* of the embedding, with padding */
} bin;

/* Elements of one layer's tensor of this kind, and how many there are of them. */
static int64_t elements(const bin *b, const kind *k, int64_t *times)
{
    const wg_transformer_config *c = &b->base.config;
    const int64_t q = c->heads * c->head_size, kv = c->kv_heads * c->head_size;
    *times = k->part >= WGI_NORM_1 && k->part < WGI_PARTS ? c->layers : 1;
    switch (k->part) {
    case WGI_EMBED: return b->vocab_rows * c->width;
    case WGI_HEAD: return c->untied ? c->vocab * c->width : 0;
    case WGI_POSITION: return c->block * c->width;
    case WGI_QKV: return (q + 2 * kv) * (k->bias ? 1 : c->width);
    case WGI_Q: return q * c->width;
    case WGI_K:
    case WGI_V: return kv * c->width;
    case WGI_OUT: return k->bias ? c->width : q * c->width;
    case WGI_UP:
    case WGI_GATE: return c->hidden * (k->bias ? 1 : c->width);
    case WGI_DOWN: return c->width * (k->bias ? 1 : c->hidden);
    case WGI_PARTS: return c->block * c->head_size; /* sines and cosines of half the head each */
    default: return c->width;
    }
}

/* The elements before the kind that slot is of (all of them: slot NULL); -1 if that overflows. */
static int64_t elements_before(const bin *b, const wgi_slot *slot)
{
    int64_t at = 0, times, all;
    for (int i = 0; i < b->n; i++) {
        const kind *k = &b->kinds[i];
        const int64_t one = elements(b, k, &times);
        if (slot && k->part == slot->part && k->bias == slot->bias)
            return slot->layer > 0 ? at + slot->layer * one : at;
        if (__builtin_mul_overflow(one, times, &all) || __builtin_add_overflow(at, all, &at))
            return -1;
    }
    return at;
}

/* What the file should have; -1 if that overflows. */
static int64_t bytes_wanted(const bin *b)
{
    const int64_t all = elements_before(b, NULL);
    int64_t bytes;
    if (all < 0 || __builtin_mul_overflow(all, (int64_t)wg_dtype_size(b->dtype), &bytes) ||
        __builtin_add_overflow(bytes, b->header, &bytes))
        return -1;
    return bytes;
}

static wg_tensor *get(wgi_source *s, const wgi_slot *slot)
{
    const bin *b = (const bin *)s;
    const int64_t at = elements_before(b, slot);
    return wg_file_tensor(b->file, b->header + at * (int64_t)wg_dtype_size(b->dtype), b->dtype,
                          slot->shape);
}

/* Sizes whose products of two fit. */
static bool fair(const int32_t *n, int count)
{
    for (int i = 0; i < count; i++)
        if (n[i] < 1 || n[i] > 1 << 30) return false;
    return true;
}

/* ---- llama2.c -------------------------------------------------------------------------------- */
/* dim, hidden, layers, heads, key-value heads, vocabulary (negative: untied), positions. */
static bool describe_llama2c(bin *b, const void *data, int64_t bytes)
{
    int32_t n[LLAMA2C_HEADER];
    if (bytes < (int64_t)sizeof n) return false;
    memcpy(n, data, sizeof n);
    const bool untied = n[5] < 0;
    if (n[5] == INT32_MIN) return false;
    if (untied) n[5] = -n[5];
    if (!fair(n, LLAMA2C_HEADER) || n[0] % n[3] != 0 || n[3] % n[4] != 0) return false;
    b->base.config = wg_llama_config(n[2], n[3], n[4], n[0], n[1], n[5], n[6]);
    b->base.config.head_size = n[0] / n[3];
    b->base.config.eps = 1e-5;
    b->base.config.rope_base = 10000;
    b->base.config.rope_adjacent = true;
    b->base.config.untied = untied;
    b->dtype = WG_F32;
    b->kinds = llama2c;
    b->n = sizeof llama2c / sizeof *llama2c;
    b->header = sizeof n;
    b->vocab_rows = n[5];
    return true;
}

bool wgi_is_llama2c(const void *data, int64_t bytes)
{
    bin b = { 0 };
    return describe_llama2c(&b, data, bytes) && bytes_wanted(&b) == bytes;
}

/* ---- llm.c ----------------------------------------------------------------------------------- */
bool wgi_is_llmc(const void *data, int64_t bytes)
{
    int32_t magic = 0;
    if (bytes >= (int64_t)sizeof magic) memcpy(&magic, data, sizeof magic);
    return magic == LLMC_MAGIC;
}

/* magic, version, positions, vocabulary, layers, heads, channels, padded vocabulary. */
static bool describe_llmc(bin *b, const void *data, int64_t bytes)
{
    int32_t n[8];
    if (bytes < LLMC_HEADER * (int64_t)sizeof *n)
        return wg_raise(WG_EFORMAT, "%s: llm.c's header is cut off", b->base.path) == WG_OK;
    memcpy(n, data, sizeof n);
    if (n[1] != 3 && n[1] != 5)
        return wg_raise(WG_EFORMAT, "%s: version %" PRId32 " of llm.c's GPT-2: 3 and 5 are read",
                        b->base.path, n[1]) == WG_OK;
    if (!fair(n + 2, 6) || n[6] % n[5] != 0 || n[7] < n[3])
        return wg_raise(WG_EFORMAT, "%s: llm.c's header makes no GPT-2", b->base.path) == WG_OK;
    b->base.config = wg_gpt2_config(n[4], n[5], n[6], n[3], n[2]);
    b->base.config.kv_heads = n[5];
    b->base.config.head_size = n[6] / n[5];
    b->base.config.hidden = (int64_t)4 * n[6];
    b->base.config.eps = 1e-5;
    b->dtype = n[1] == 3 ? WG_F32 : WG_BF16;
    b->kinds = llmc;
    b->n = sizeof llmc / sizeof *llmc;
    b->header = LLMC_HEADER * (int64_t)sizeof *n;
    b->vocab_rows = n[7];
    const int64_t wanted = bytes_wanted(b);
    if (wanted == bytes) return true;
    return wg_raise(WG_EFORMAT, "%s: %" PRId64 " bytes where llm.c's header needs %" PRId64,
                    b->base.path, bytes, wanted) == WG_OK;
}

static void open_bin(wg_model *m, const wg_model_args *a,
                     bool (*describe)(bin *, const void *, int64_t))
{
    bin b = { .base = { .path = a->path, .get = get }, .file = wg_file_open(a->path) };
    const wg_scope s = wg_scope_push();
    if (b.file && describe(&b, wg_file_data(b.file), wg_file_bytes(b.file)))
        m->module = wgi_model_load(&b.base, a);
    wg_scope_return(s, NULL);
    wg_file_close(b.file);
}

void wgi_model_open_llama2c(wg_model *m, const wg_model_args *a)
{
    open_bin(m, a, describe_llama2c);
    m->kind = WG_FILE_LLAMA2C;
}

void wgi_model_open_llmc(wg_model *m, const wg_model_args *a)
{
    open_bin(m, a, describe_llmc);
    m->kind = WG_FILE_LLMC;
}
