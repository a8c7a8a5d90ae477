/* Attention of a few queries over many keys, as text is generated. What it takes is reading keys and values once, so these are
 * shared out over blocks, and what the blocks found is joined: source: Dao, Haziza, Massa and Sizov, "Flash-Decoding for
 * long-context inference" (2023).
 *
 * A block has a part of the keys of one head, and up to ROWS rows: queries of the heads that share these keys. L lanes have a
 * key, eight columns each; each such group walks over its own keys with its own running maximum and sum, without a barrier,
 * and groups are joined at the end. Rows and keys are whole packs of one type S; all is computed in f32, scores in units of
 * log 2. */

#include "cuda/attention.h"
#include "cuda/attention_element.h"
#include "cuda/block.cuh"
#include "cuda/pack.cuh"

namespace
{

using wgi::pack;
using wgi::PACK;

/* KEYS: that a group has on their way at a time. */
enum { THREADS = 128, WARPS = THREADS / 32, KEYS = 4, JOIN_THREADS = 256 };
constexpr unsigned WHOLE_WARP = 0xffffffffu;

/* Columns [c, c + 8) of a row, zeros where it has none or is not there. */
template <class S>
__device__ __forceinline__ void load(pack<S> &to, const wgi_attention_operand &o, int64_t row,
                                     int column, int columns, bool there)
{
    if (there && column < columns)
        to.load(wgi::place<S>(o.data, row + column));
    else
        to.clear();
}

/* What was summed of some keys: a row's values times their powers, above its maximum. */
struct state {
    float top = -INFINITY, sum = 0, o[PACK] = {};

    /* NaN is passed over by the maximum and found by the powers; rows may hold -inf alone. */
    static __device__ __forceinline__ float power(float x, float top)
    {
        return wgi::power_of_two(x - (top == -INFINITY ? 0.0f : top));
    }
    __device__ __forceinline__ void rise(float to)
    {
        if (to == top) return;
        const float shrink = power(top, to);
        sum *= shrink;
#pragma unroll
        for (int c = 0; c < PACK; c++) o[c] *= shrink;
        top = to;
    }
    __device__ __forceinline__ void join_lane(int further)
    {
        const float other = __shfl_xor_sync(WHOLE_WARP, top, further);
        rise(fmaxf(top, other));
        sum += __shfl_xor_sync(WHOLE_WARP, sum, further);
#pragma unroll
        for (int c = 0; c < PACK; c++) o[c] += __shfl_xor_sync(WHOLE_WARP, o[c], further);
    }
};

/* A row's query and head. */
struct row_place {
    int b, h, i;
};

/* The block's rows of one head of keys. */
struct rows_of {
    const wgi_attention_pass &p;
    int b, kv, shared_by, first;

    __device__ __forceinline__ int head(int r) const
    {
        return kv * shared_by + (first + r) % shared_by;
    }
    __device__ __forceinline__ int query(int r) const { return (first + r) / shared_by; }
    __device__ __forceinline__ row_place place(int r) const { return { b, head(r), query(r) }; }
    /* Their number among all rows. */
    __device__ __forceinline__ int64_t number(const wgi_attention_decode &d, int r) const
    {
        return (int64_t(b) * p.kv_heads + kv) * d.rows + first + r;
    }
    /* A score with its mask: -inf where the key is not seen, whatever came out of it. */
    __device__ __forceinline__ float score(int r, int j, float dot) const
    {
        const int i = query(r);
        if (i >= p.tq || j < wgi_first_key(&p, i) || j >= wgi_end_key(&p, i)) return -INFINITY;
        if (!p.mask.data) return dot;
        const float mask = wgi::mask_value<float>(p, b, head(r), i, j);
        return mask == -INFINITY ? mask : dot + mask * wgi::log2_e;
    }
};

/* The dots of KEYS keys with all rows; the lanes of a group get the same. */
template <class S, int ROWS, int L>
__device__ __forceinline__ void dots(float (&s)[KEYS][ROWS], const pack<S> (&k)[KEYS],
                                     const float (&q)[ROWS][PACK])
{
#pragma unroll
    for (int u = 0; u < KEYS; u++) {
        float own[PACK];
        k[u].numbers(own);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            s[u][r] = 0;
#pragma unroll
            for (int c = 0; c < PACK; c++) s[u][r] = fmaf(q[r][c], own[c], s[u][r]);
#pragma unroll
            for (int n = L / 2; n > 0; n /= 2) s[u][r] += __shfl_xor_sync(WHOLE_WARP, s[u][r], n);
        }
    }
}

/* Scores become powers, and values are added by them. */
template <class S, int ROWS>
__device__ __forceinline__ void add(state (&a)[ROWS], float (&s)[KEYS][ROWS],
                                    const pack<S> (&v)[KEYS])
{
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        float top = a[r].top;
#pragma unroll
        for (int u = 0; u < KEYS; u++) top = fmaxf(top, s[u][r]);
        a[r].rise(top);
#pragma unroll
        for (int u = 0; u < KEYS; u++) {
            s[u][r] = state::power(s[u][r], top);
            a[r].sum += s[u][r];
        }
    }
#pragma unroll
    for (int u = 0; u < KEYS; u++) {
        float own[PACK];
        v[u].numbers(own);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int c = 0; c < PACK; c++) a[r].o[c] = fmaf(s[u][r], own[c], a[r].o[c]);
    }
}

/* y and lse of a row's sums: zeros and -inf where nothing was seen. */
__device__ __forceinline__ void put_y(const wgi_attention_pass &p, const row_place &at, int c,
                                      float o, float sum)
{
    wgi::set_element(p.y, wgi_row_offset(&p.y, at.b, at.h, at.i) + c * p.y.stride[3],
                     sum == 0 ? 0.0f : o / sum);
}
__device__ __forceinline__ void put_lse(const wgi_attention_pass &p, const row_place &at, float top,
                                        float sum)
{
    if (p.lse.data)
        wgi::set_element(p.lse, wgi_row_offset(&p.lse, at.b, at.h, at.i),
                         (top + log2f(sum)) * wgi::ln_2);
}

/* What the warps found, joined: to y where the block has all keys, else to its part of the scratch memory. */
template <int ROWS, int L>
__device__ __forceinline__ void finish(const rows_of &rows, const wgi_attention_decode &d, int part,
                                       const state (&a)[ROWS])
{
    __shared__ __align__(16) float o[WARPS][ROWS][L * PACK];
    __shared__ float top[WARPS][ROWS], sum[WARPS][ROWS], factor[ROWS][WARPS], whole[ROWS];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, own = threadIdx.x;
    if (lane < L) {
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            pack<wgi::real32> own_o;
            own_o.take(a[r].o);
            own_o.store(o[warp][r] + lane * PACK);
            if (lane == 0) {
                top[warp][r] = a[r].top;
                sum[warp][r] = a[r].sum;
            }
        }
    }
    __syncthreads();
    const wgi_attention_pass &p = rows.p;
    const bool alone = d.parts == 1;
    if (own < ROWS && rows.first + own < d.rows) {
        float most = -INFINITY, all = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) most = fmaxf(most, top[w][own]);
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            factor[own][w] = state::power(top[w][own], most);
            all = fmaf(sum[w][own], factor[own][w], all);
        }
        whole[own] = all;
        if (alone) {
            put_lse(p, rows.place(own), most, all);
        } else {
            float *terms = d.terms + 2 * (rows.number(d, own) * d.parts + part);
            terms[0] = most;
            terms[1] = all;
        }
    }
    __syncthreads();
    for (int r = 0; r < ROWS && rows.first + r < d.rows; r++)
        for (int c = own; c < p.dv; c += THREADS) {
            float value = 0;
#pragma unroll
            for (int w = 0; w < WARPS; w++) value = fmaf(o[w][r][c], factor[r][w], value);
            if (alone)
                put_y(p, rows.place(r), c, value, whole[r]);
            else
                d.o[(rows.number(d, r) * d.parts + part) * p.dv + c] = value;
        }
}

template <class S, int ROWS, int L>
__global__ void __launch_bounds__(THREADS, ROWS > 1 ? 2 : 4)
    decode(const __grid_constant__ wgi_attention_pass p,
           const __grid_constant__ wgi_attention_decode d)
{
    constexpr int groups = THREADS / L;
    /* blocks that read the same keys are neighbours */
    const unsigned place = blockIdx.x / unsigned(d.row_blocks), head = place / unsigned(d.parts);
    const int part = int(place % unsigned(d.parts));
    const rows_of rows = { p, int(head / unsigned(p.kv_heads)), int(head % unsigned(p.kv_heads)),
                           p.heads / p.kv_heads, int(blockIdx.x % unsigned(d.row_blocks)) * ROWS };
    const int column = int(threadIdx.x) % L * PACK, group = int(threadIdx.x) / L;
    float q[ROWS][PACK];
    state a[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        pack<S> own;
        load<S>(own, p.q, wgi_row_offset(&p.q, rows.b, rows.head(r), rows.query(r)), column, p.d,
                rows.first + r < d.rows);
        own.numbers(q[r]);
#pragma unroll
        for (int c = 0; c < PACK; c++) q[r][c] *= float(p.scale) * wgi::log2_e;
    }
    const int first = d.first + part * WGI_DECODE_KEYS,
              end = d.end - first < WGI_DECODE_KEYS ? d.end : first + WGI_DECODE_KEYS;
    for (int j0 = first; j0 < end; j0 += groups * KEYS) {
        pack<S> k[KEYS], v[KEYS];
        float s[KEYS][ROWS];
#pragma unroll
        for (int u = 0; u < KEYS; u++) {
            const int j = j0 + u * groups + group;
            load<S>(k[u], p.k, wgi_row_offset(&p.k, rows.b, rows.kv, j), column, p.d, j < end);
            load<S>(v[u], p.v, wgi_row_offset(&p.v, rows.b, rows.kv, j), column, p.dv, j < end);
        }
        dots<S, ROWS, L>(s, k, q);
#pragma unroll
        for (int u = 0; u < KEYS; u++)
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int j = j0 + u * groups + group;
                s[u][r] = j < end ? rows.score(r, j, s[u][r]) : -INFINITY;
            }
        add<S, ROWS>(a, s, v);
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int further = L; further < 32; further *= 2) a[r].join_lane(further);
    finish<ROWS, L>(rows, d, part, a);
}

/* A block a row: the parts that the blocks above have left, shared out over groups of threads with a column each. */
__global__ void __launch_bounds__(JOIN_THREADS) join(const __grid_constant__ wgi_attention_pass p,
                                                     const __grid_constant__ wgi_attention_decode d)
{
    __shared__ float o_of[JOIN_THREADS], sum_of[JOIN_THREADS];
    const unsigned row = blockIdx.x;
    const float *o = d.o + int64_t(row) * d.parts * p.dv,
                *terms = d.terms + int64_t(row) * d.parts * 2;
    const int width = (p.dv + 31) / 32 * 32, groups = JOIN_THREADS / width,
              c = int(threadIdx.x) % width, group = int(threadIdx.x) / width,
              skew = d.first / WGI_DECODE_KEYS % groups; /* a place's group is always the same */
    float top = -INFINITY;
    for (int part = threadIdx.x; part < d.parts; part += JOIN_THREADS)
        top = fmaxf(top, terms[2 * part]);
    top = wgi::block_all(top, wgi::greatest());
    float own = 0, sum = 0;
    if (group < groups && c < p.dv) {
#pragma unroll 8
        for (int part = (group - skew + groups) % groups; part < d.parts; part += groups) {
            const float factor = state::power(terms[2 * part], top);
            own = fmaf(o[int64_t(part) * p.dv + c], factor, own);
            sum = fmaf(terms[2 * part + 1], factor, sum);
        }
    }
    o_of[threadIdx.x] = own;
    sum_of[threadIdx.x] = sum;
    __syncthreads();
    if (int(threadIdx.x) >= p.dv) return;
    for (int g = 1; g < groups; g++) {
        own += o_of[g * width + c];
        sum += sum_of[g * width + c];
    }
    const int shared_by = p.heads / p.kv_heads, n = int(row % unsigned(d.rows)),
              head = int(row / unsigned(d.rows));
    const row_place at = { head / p.kv_heads, head % p.kv_heads * shared_by + n % shared_by,
                           n / shared_by };
    put_y(p, at, c, own, sum);
    if (c == 0) put_lse(p, at, top, sum);
}

template <class S, int ROWS, int L>
void launch(const wgi_attention_pass &p, const wgi_attention_decode &d, cudaStream_t stream)
{
    const int64_t blocks = int64_t(p.batch) * p.kv_heads * d.row_blocks * d.parts;
    decode<S, ROWS, L><<<unsigned(blocks), THREADS, 0, stream>>>(p, d);
}

template <class S, int ROWS>
void launch_columns(const wgi_attention_pass &p, const wgi_attention_decode &d, cudaStream_t stream)
{
    const int widest = p.d > p.dv ? p.d : p.dv;
    if (widest <= 8 * PACK)
        launch<S, ROWS, 8>(p, d, stream);
    else if (widest <= 16 * PACK)
        launch<S, ROWS, 16>(p, d, stream);
    else
        launch<S, ROWS, 32>(p, d, stream);
}

template <class S>
void launch_rows(const wgi_attention_pass &p, const wgi_attention_decode &d, cudaStream_t stream)
{
    switch (d.width) {
    case 1: return launch_columns<S, 1>(p, d, stream);
    case 2: return launch_columns<S, 2>(p, d, stream);
    default: return launch_columns<S, 4>(p, d, stream);
    }
}

} // namespace

extern "C" void wgi_launch_attention_decode(const wgi_attention_pass *p,
                                            const wgi_attention_decode *d, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    switch (p->q.type) {
    case WG_F32: launch_rows<wgi::real32>(*p, *d, s); break;
    case WG_BF16: launch_rows<wgi::real_bf16>(*p, *d, s); break;
    default: launch_rows<wgi::real_f16>(*p, *d, s); break;
    }
    if (d->parts > 1)
        join<<<unsigned(int64_t(p->batch) * p->kv_heads * d->rows), JOIN_THREADS, 0, s>>>(*p, *d);
}
