/* Attention as its kernels get it, and which keys meet which queries. Plain, for C and CUDA; the
 * CPU's header of that name has a wgi_operand of its own, so cuda/pass.h is not used here. */
#ifndef WGI_CUDA_ATTENTION_H
#define WGI_CUDA_ATTENTION_H
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define WGI_MAP static __host__ __device__ __forceinline__
#else
#define WGI_MAP static inline
#endif

/* (B, H, T, D), strides in elements, 0 where it is broadcast. data NULL: absent. */
typedef struct {
    char *data;
    int64_t stride[4];
    int type; /* wg_dtype */
} wgi_attention_operand;

typedef struct {
    int batch, heads, kv_heads, tq, tk, d, dv;
    int window; /* 0: none, or so wide that it hides nothing */
    bool causal, accumulate;
    double scale, dropout;
    uint64_t random[2];
    wgi_attention_operand q, k, v, mask, y, lse, dy, dq, dk, dv_out;
    /* backward: (B, H, rows) float or double: delta = rowsum(dy * y), and lse, +inf for rows that
     * saw nothing and behind tq; by the tensor-core kernels in units of log 2 */
    void *row_delta, *row_lse;
    int rows; /* tq, rounded up to WGI_ATTENTION_ROWS */
} wgi_attention_pass;

enum { WGI_ATTENTION_ROWS = 128 };

/* Query i sees keys [first, end): causality and the window count from the last key. first may be
 * negative. */
WGI_MAP int wgi_first_key(const wgi_attention_pass *p, int i)
{
    return p->window ? i + p->tk - p->tq - p->window + 1 : 0;
}

WGI_MAP int wgi_end_key(const wgi_attention_pass *p, int i)
{
    const int end = i + p->tk - p->tq + 1;
    return p->causal && end < p->tk ? end : p->tk;
}

/* Between scores and powers there is more than a positive factor. */
WGI_MAP bool wgi_attention_has_extra(const wgi_attention_pass *p)
{
    return p->mask.data || p->dropout > 0 || !((float)p->scale > 0);
}

typedef struct {
    int first, end;
} wgi_attention_tiles;

/* The tiles of `tile` keys that any of the queries [i0, i1) sees; i0 < i1. */
WGI_MAP wgi_attention_tiles wgi_key_tiles(const wgi_attention_pass *p, int i0, int i1, int tile)
{
    const int low = wgi_first_key(p, i0), high = wgi_end_key(p, (i1 < p->tq ? i1 : p->tq) - 1);
    const int first = low > 0 ? low / tile : 0;
    const wgi_attention_tiles t = { first,
                                    high > (low > 0 ? low : 0) ? (high + tile - 1) / tile : first };
    return t;
}

/* The tiles of `tile` queries that see any of the keys [j0, j1); j0 < j1. */
WGI_MAP wgi_attention_tiles wgi_query_tiles(const wgi_attention_pass *p, int j0, int j1, int tile)
{
    const int shift = p->tk - p->tq, last = (j1 < p->tk ? j1 : p->tk) - 1;
    const int low = p->causal && j0 - shift > 0 ? j0 - shift : 0;
    const int high =
        p->window && last - shift + p->window < p->tq ? last - shift + p->window : p->tq;
    const int first = low / tile;
    const wgi_attention_tiles t = { first, high > low ? (high + tile - 1) / tile : first };
    return t;
}

/* Some query of [i0, i1) does not see some key of [j0, j1). */
WGI_MAP bool wgi_tile_is_cut(const wgi_attention_pass *p, int i0, int i1, int j0, int j1)
{
    return j1 > wgi_end_key(p, i0) || j0 < wgi_first_key(p, i1 - 1);
}

/* A block's work. The blocks with most keys come first: a causal row grows with its number. There are fewer than 2^31 blocks,
 * and divisions of 64-bit numbers take a device a hundred instructions. */
typedef struct {
    int b, h, first; /* first row of its tile; h: query head, or key-value head */
} wgi_attention_place;

WGI_MAP wgi_attention_place wgi_place_of(int batch, int heads, int64_t block)
{
    const uint32_t n = (uint32_t)block, all = (uint32_t)batch * (uint32_t)heads, later = n / all,
                   head = n - later * all, b = head / (uint32_t)heads;
    const wgi_attention_place at = { (int)b, (int)(head - b * (uint32_t)heads), (int)later };
    return at;
}

WGI_MAP wgi_attention_place wgi_place_of_queries(const wgi_attention_pass *p, int64_t block,
                                                 int tile)
{
    wgi_attention_place at = wgi_place_of(p->batch, p->heads, block);
    at.first = ((p->tq + tile - 1) / tile - 1 - at.first) * tile;
    return at;
}

/* Early keys are seen by most queries. */
WGI_MAP wgi_attention_place wgi_place_of_keys(const wgi_attention_pass *p, int64_t block, int tile)
{
    wgi_attention_place at = wgi_place_of(p->batch, p->kv_heads, block);
    at.first *= tile;
    return at;
}

/* The head of keys that a head of queries meets. */
WGI_MAP int wgi_head_of_keys(const wgi_attention_pass *p, int h)
{
    if (p->heads == p->kv_heads) return h;
    return (int)((uint32_t)h / ((uint32_t)p->heads / (uint32_t)p->kv_heads));
}

/* The row of row_delta and row_lse that holds query 0 of a head. */
WGI_MAP int64_t wgi_head_rows(const wgi_attention_pass *p, int b, int h)
{
    return ((int64_t)b * p->heads + h) * p->rows;
}

/* Element offset of row i of head h. */
WGI_MAP int64_t wgi_row_offset(const wgi_attention_operand *o, int b, int h, int i)
{
    return b * o->stride[0] + h * o->stride[1] + i * o->stride[2];
}

/* How a few queries meet many keys: a head of keys has `rows`, the queries of all heads that share it. A block has up to
 * `width` of them, and one of `parts` of the keys [first, end), which are all that any query sees. Parts begin at fixed places
 * among the keys: so a query of finite keys and values has the same bits beside other queries and other sequences. */
enum {
    WGI_DECODE_QUERIES = 8, /* at most */
    WGI_DECODE_WIDEST = 256,
    WGI_DECODE_KEYS = 64, /* a part's */
    /* bytes at most: where parts would take more, there is enough to do without them */
    WGI_DECODE_SCRATCH = 1 << 28
};
typedef struct {
    int rows, width, row_blocks;
    int first, end, parts;
    /* of several parts, (batch, kv_heads, rows, parts): dv sums each, and a maximum and its sum */
    float *o, *terms;
} wgi_attention_decode;

#ifdef __cplusplus
extern "C" {
#endif
wgi_attention_decode wgi_plan_decode(const wgi_attention_pass *p);
/* Whether it may go by these kernels at all. */
bool wgi_decodes(const wgi_attention_pass *p);
/* q, k and v of one type, f32 or of 16 bits, rows in whole chunks of 16 bytes and multiples of 8 columns; no dropout. */
void wgi_launch_attention_decode(const wgi_attention_pass *p, const wgi_attention_decode *d,
                                 void *stream);
/* By tensor cores, for bf16 and f16: all operands but lse and mask have that type, columns next to
 * each other, rows at multiples of 16 bytes, d and dv multiples of 8. */
void wgi_launch_attention_bf16(const wgi_attention_pass *p, int head, void *stream);
void wgi_launch_attention_f16(const wgi_attention_pass *p, int head, void *stream);
/* dq, dk, dv; after the rows. */
void wgi_launch_attention_backward_bf16(const wgi_attention_pass *p, int head, void *stream);
void wgi_launch_attention_backward_f16(const wgi_attention_pass *p, int head, void *stream);
/* The same by products of warpgroups, on compute capability 9.0: head 64 or 128, without a mask or dropout. */
void wgi_launch_attention_hopper_bf16(const wgi_attention_pass *p, int head, void *stream);
void wgi_launch_attention_hopper_f16(const wgi_attention_pass *p, int head, void *stream);
void wgi_launch_attention_hopper_backward_bf16(const wgi_attention_pass *p, int head, void *stream);
void wgi_launch_attention_hopper_backward_f16(const wgi_attention_pass *p, int head, void *stream);
/* Any floating dtypes, strides and sizes, computed in f64 or else in f32. */
void wgi_launch_attention_plain(const wgi_attention_pass *p, bool f64, void *stream);
void wgi_launch_attention_backward_plain(const wgi_attention_pass *p, bool f64, void *stream);
/* Fills row_delta and row_lse in f64 or f32, or in f32 from y and dy as the tensor-core kernels
 * want them; lse_unit: what lse is multiplied by. */
typedef enum {
    WGI_ATTENTION_ROWS_F64,
    WGI_ATTENTION_ROWS_F32,
    WGI_ATTENTION_ROWS_CHUNKS
} wgi_attention_rows_kind;
void wgi_launch_attention_rows(const wgi_attention_pass *p, wgi_attention_rows_kind kind,
                               double lse_unit, void *stream);
#ifdef __cplusplus
}
#endif
#endif
