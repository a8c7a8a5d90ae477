/* Tiled attention on the CPU: what a call is, and the kernels of one instruction-set level. Scores never stand whole in
 * memory: a tile of bq queries by bk keys at a time, with a running maximum and sum (Milakov & Gimelshein, arXiv:1805.02867;
 * Dao et al., arXiv:2205.14135). */
#ifndef WGI_CPU_ATTENTION_H
#define WGI_CPU_ATTENTION_H
#include "cpu/attention_product.h"
#include "cpu/level.h"
#include "wengert/op.h"

/* A tensor seen as (B, H, T, D), of any strides (in elements; 0 where it is broadcast). data NULL: absent. */
typedef struct {
    char *data;
    int64_t stride[4];
    size_t size; /* bytes of an element */
    wg_dtype type;
} wgi_operand;

typedef struct {
    int64_t batch, heads, kv_heads, tq, tk, d, dv;
    int64_t bq, bk; /* the tile: queries by keys */
    int64_t window; /* 0: none */
    double scale, dropout;
    bool causal, accumulate; /* accumulate: dq, dk, dv are added to */
    uint64_t random[2];
    wgi_tile_product *product; /* of tiles in f32, where there is a faster one for bf16; NULL */
    wgi_operand q, k, v, mask, y,
        lse; /* lse (B, H, Tq, 1): log of the sum of exp of a row's scores */
    wgi_operand dy, dq, dk, dv_out;
} wgi_attention;

/* Keys that any of the queries [first, last) sees: causality and the window count from the last key. */
static inline void wgi_attention_range(const wgi_attention *a, int64_t first, int64_t last,
                                       int64_t *lo, int64_t *hi)
{
    const int64_t shift = a->tk - a->tq;
    *lo = a->window && first + shift - a->window + 1 > 0 ? first + shift - a->window + 1 : 0;
    *hi = a->causal && last + shift < a->tk ? last + shift : a->tk;
    if (*hi < *lo) *hi = *lo = 0;
}

/* "slot": the memory of one running task, its size from the function of that name; "packed": K and V of one key-value
 * head as the forward tiles read them. b, h, kv: batch, query head, key-value head. */
typedef struct {
    size_t (*packed_bytes)(const wgi_attention *a);
    size_t (*forward_bytes)(const wgi_attention *a);
    size_t (*direct_bytes)(const wgi_attention *a);
    size_t (*backward_bytes)(const wgi_attention *a);
    /* Packs key block `block` (bk keys). */
    void (*pack)(const wgi_attention *a, int64_t b, int64_t kv, int64_t block, void *packed,
                 void *slot);
    /* y and lse of query block `block` (bq queries). */
    void (*forward)(const wgi_attention *a, int64_t b, int64_t h, int64_t block, const void *packed,
                    void *slot);
    /* y and lse of all queries of all heads that share kv, from K and V where they lie: for few queries. */
    void (*direct)(const wgi_attention *a, int64_t b, int64_t kv, void *slot);
    /* dk, dv of kv and dq of all heads that share it, heads in order. */
    void (*backward)(const wgi_attention *a, int64_t b, int64_t kv, void *slot);
} wgi_attention_kernels;

typedef struct {
    wgi_attention_kernels f32, f64; /* f32 also for 16-bit operands */
} wgi_attention_table;
WGI_DECLARE_LEVELS(wgi_attention_table, wgi_attention_table);

/* The op's kernels: cut the work, find scratch memory, run. a's shapes, operands and options are filled in; the tile is
 * chosen here. */
wg_status wgi_attention_forward(const wg_run *r, wgi_attention *a);
wg_status wgi_attention_backward(const wg_run *r, wgi_attention *a);
#endif
