/* Norms of rows that lie in packs of 8 elements of one type: the training case. A row stays in the registers of one to a few
 * warps, 8 elements a chunk and lane, up to MOST chunks: so that for each element there is little but its own arithmetic. (Of
 * any layout and type, norm_rows.cu takes several times the instructions, more than memory leaves time for.) */
#include "cuda/block.cuh"
#include "cuda/pack.cuh"

namespace
{

using wgi::pack;
using wgi::PACK;

/* Rows of 16 bits have up to four chunks a lane, of f32 two: of WGI_PACK_LONGEST elements. */
template <class S> constexpr int most_threads = WGI_PACK_LONGEST / PACK / (S::chunks == 1 ? 4 : 2);

/* Where a lane's chunks of a row are. All but the last are there for every thread. */
template <int CHUNKS> struct columns {
    int64_t n;
    __device__ __forceinline__ int64_t at(int c) const
    {
        return (int64_t(c) * blockDim.x + threadIdx.x) * PACK;
    }
    __device__ __forceinline__ bool has(int c) const { return c + 1 < CHUNKS || at(c) < n; }
};

template <class S, int CHUNKS> struct packed_row {
    pack<S> p[CHUNKS];
    __device__ __forceinline__ void load(const columns<CHUNKS> &k, const wgi_lines &l, int64_t r)
    {
        void *from = wgi::row_place<S>(l, r);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            if (k.has(c))
                p[c].load(wgi::place<S>(from, k.at(c)));
            else
                p[c].clear();
    }
    __device__ __forceinline__ void store(const columns<CHUNKS> &k, const wgi_lines &l,
                                          int64_t r) const
    {
        void *to = wgi::row_place<S>(l, r);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            if (k.has(c)) p[c].store(wgi::place<S>(to, k.at(c)));
    }
};

/* A weight or bias (n), f32; `otherwise` where there is none. */
template <int CHUNKS>
__device__ __forceinline__ void load_weight(const columns<CHUNKS> &k, const void *w,
                                            float otherwise, float (&v)[CHUNKS][PACK])
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        if (w && k.has(c)) {
            pack<wgi::real32> p;
            p.load(static_cast<const float *>(w) + k.at(c));
            p.numbers(v[c]);
        } else {
#pragma unroll
            for (int e = 0; e < PACK; e++) v[c][e] = otherwise;
        }
    }
}

/* x, or x + added as the sum keeps it, which is written on the way. */
template <class S, int CHUNKS>
__device__ __forceinline__ void add(const columns<CHUNKS> &k, const wgi_norm_launch &l, int64_t r,
                                    packed_row<S, CHUNKS> &x)
{
    packed_row<S, CHUNKS> more;
    more.load(k, l.added, r);
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        float v[PACK], w[PACK];
        x.p[c].numbers(v);
        more.p[c].numbers(w);
#pragma unroll
        for (int e = 0; e < PACK; e++) v[e] += w[e];
        x.p[c].take(v);
    }
    x.store(k, l.sum, r);
}

/* Variance in two passes; the second takes back what rounding the mean left. The next row is on its way meanwhile. */
template <class S, int CHUNKS>
__global__ void __launch_bounds__(most_threads<S>, 1)
    forward(const __grid_constant__ wgi_norm_launch l)
{
    const columns<CHUNKS> k { l.n };
    float weight[CHUNKS][PACK], bias[CHUNKS][PACK];
    load_weight<CHUNKS>(k, l.weight, 1, weight);
    load_weight<CHUNKS>(k, l.bias, 0, bias);
    packed_row<S, CHUNKS> x, next;
    if (blockIdx.x < l.rows) next.load(k, l.x, blockIdx.x);
    for (int64_t r = blockIdx.x; r < l.rows; r += gridDim.x) {
        x = next;
        if (r + gridDim.x < l.rows) next.load(k, l.x, r + gridDim.x);
        if (l.added.data) add<S, CHUNKS>(k, l, r, x);
        float v[CHUNKS][PACK], mean = 0, first = 0, second = 0;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            x.p[c].numbers(v[c]); /* zeros beyond the row */
#pragma unroll
            for (int e = 0; e < PACK; e++) mean += v[c][e];
        }
        mean = l.centered ? wgi::block_all(mean, wgi::add()) / float(l.n) : 0.0f;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (!k.has(c)) continue;
#pragma unroll
            for (int e = 0; e < PACK; e++) {
                v[c][e] -= mean;
                first += v[c][e];
                second = fmaf(v[c][e], v[c][e], second);
            }
        }
        wgi::block_sums(first, second);
        const float rest = l.centered ? first / float(l.n) : 0.0f,
                    variance = second / float(l.n) - rest * rest;
        const float rstd = 1 / wgi::sqrt_of<float>((variance < 0 ? 0.0f : variance) + float(l.eps));
        if (threadIdx.x == 0 && l.mean) static_cast<float *>(l.mean)[r] = mean + rest;
        if (threadIdx.x == 0 && l.rstd) static_cast<float *>(l.rstd)[r] = rstd;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
            for (int e = 0; e < PACK; e++)
                v[c][e] = fmaf((v[c][e] - rest) * rstd, weight[c][e], bias[c][e]);
            x.p[c].take(v[c]);
        }
        x.store(k, l.y, r);
    }
}

/* What one row's gradient is made of; `there` where it is added to. */
template <class S, int CHUNKS> struct operands {
    packed_row<S, CHUNKS> x, dy, there;
    float mean, rstd;
    __device__ __forceinline__ void load(const columns<CHUNKS> &k, const wgi_norm_launch &l,
                                         int64_t r)
    {
        x.load(k, l.x, r);
        dy.load(k, l.dy, r);
        if (l.accumulate && l.dx.data) there.load(k, l.dx, r);
        mean = l.mean ? static_cast<const float *>(l.mean)[r] : 0.0f;
        rstd = static_cast<const float *>(l.rstd)[r];
    }
};

/* As in norm_rows.cu: z = (x - mean) rstd, g = dy w, dx = rstd (g - mean(g) - z mean(g z)); dw += dy z and db += dy over
 * WGI_NORM_ROWS rows, in order. */
template <class S, int CHUNKS>
__global__ void __launch_bounds__(most_threads<S>, 1)
    backward(const __grid_constant__ wgi_norm_launch l)
{
    const columns<CHUNKS> k { l.n };
    float weight[CHUNKS][PACK];
    load_weight<CHUNKS>(k, l.weight, 1, weight);
    for (int64_t b = blockIdx.x; b * WGI_NORM_ROWS < l.rows; b += gridDim.x) {
        const int64_t begin = b * WGI_NORM_ROWS,
                      end = begin + WGI_NORM_ROWS < l.rows ? begin + WGI_NORM_ROWS : l.rows;
        float dw[CHUNKS][PACK] = {}, db[CHUNKS][PACK] = {};
        operands<S, CHUNKS> next;
        next.load(k, l, begin);
        for (int64_t r = begin; r < end; r++) {
            operands<S, CHUNKS> o = next;
            if (r + 1 < end) next.load(k, l, r + 1);
            float z[CHUNKS][PACK], g = 0, gz = 0;
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                float d[PACK];
                o.x.p[c].numbers(z[c]);
                o.dy.p[c].numbers(d); /* zeros beyond the row */
#pragma unroll
                for (int e = 0; e < PACK; e++) {
                    z[c][e] = (z[c][e] - o.mean) * o.rstd;
                    const float own = d[e] * weight[c][e];
                    g += own;
                    gz = fmaf(own, z[c][e], gz);
                    dw[c][e] = fmaf(d[e], z[c][e], dw[c][e]);
                    db[c][e] += d[e];
                }
            }
            if (!l.dx.data) continue;
            wgi::block_sums(g, gz);
            g = l.centered ? g / float(l.n) : 0.0f;
            gz /= float(l.n);
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                float d[PACK], there[PACK] = {};
                o.dy.p[c].numbers(d);
                if (l.accumulate) o.there.p[c].numbers(there);
#pragma unroll
                for (int e = 0; e < PACK; e++)
                    there[e] = fmaf(o.rstd, fmaf(d[e], weight[c][e], -g) - z[c][e] * gz, there[e]);
                o.x.p[c].take(there);
            }
            o.x.store(k, l.dx, r);
        }
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (!k.has(c)) continue;
            pack<wgi::real32> p;
            p.take(dw[c]);
            if (l.dweight) p.store(static_cast<float *>(l.dweight) + b * l.n + k.at(c));
            p.take(db[c]);
            if (l.dbias) p.store(static_cast<float *>(l.dbias) + b * l.n + k.at(c));
        }
    }
}

/* A block has some rows to walk over, so that its weights are read once for them; unless there are few rows. */
unsigned blocks_of(int64_t rows)
{
    const int64_t each = rows / 2048 < 1 ? 1 : rows / 2048 < 8 ? rows / 2048 : 8;
    return wgi::blocks_for(rows, int(each));
}

template <class S, int CHUNKS> void run(const wgi_norm_launch *l, int threads, cudaStream_t s)
{
    if (l->y.data)
        forward<S, CHUNKS><<<blocks_of(l->rows), threads, 0, s>>>(*l);
    else
        backward<S, CHUNKS><<<wgi::blocks_for(l->rows, WGI_NORM_ROWS), threads, 0, s>>>(*l);
}

template <class S> void run_type(const wgi_norm_launch *l, cudaStream_t s)
{
    const int most = S::chunks == 2 ? 2 : 4, threads = wgi_pack_threads(l->n, most);
    const int chunks = int((l->n + threads * PACK - 1) / (threads * PACK));
    if (chunks == 1) run<S, 1>(l, threads, s);
    if (chunks == 2) run<S, 2>(l, threads, s);
    if constexpr (S::chunks == 1) {
        if (chunks == 3) run<S, 3>(l, threads, s);
        if (chunks == 4) run<S, 4>(l, threads, s);
    }
}

} // namespace

extern "C" void wgi_launch_norm_packs(const wgi_norm_launch *l, void *stream)
{
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (l->x.type == WG_BF16) run_type<wgi::real_bf16>(l, s);
    if (l->x.type == WG_F16) run_type<wgi::real_f16>(l, s);
    if (l->x.type == WG_F32) run_type<wgi::real32>(l, s);
}
