#include "cuda/attention_plain.h"

#include "cuda/attention_gpu.cuh"
#include "cuda/attention_rows.h"

namespace
{

template <class R>
__global__ void __launch_bounds__(wgi::PLAIN_THREADS, 2)
    forward_kernel(const __grid_constant__ wgi_attention_pass p)
{
    wgi::plain_forward<wgi::gpu, R>(p);
}

template <class R>
__global__ void __launch_bounds__(wgi::PLAIN_THREADS, 2)
    query_kernel(const __grid_constant__ wgi_attention_pass p)
{
    wgi::plain_of_queries<wgi::gpu, R>(p);
}

template <class R>
__global__ void __launch_bounds__(wgi::PLAIN_THREADS, 2)
    key_kernel(const __grid_constant__ wgi_attention_pass p)
{
    wgi::plain_of_keys<wgi::gpu, R>(p);
}

template <class R, bool CHUNKS>
__global__ void __launch_bounds__(wgi::ROWS_THREADS)
    rows_kernel(const __grid_constant__ wgi_attention_pass p, R unit)
{
    wgi::attention_rows<wgi::gpu, R, CHUNKS>(p, unit);
}

int64_t tiles(int length)
{
    return (length + wgi::PLAIN_TILE - 1) / wgi::PLAIN_TILE;
}

void launch(wgi::attention_kernel kernel, const wgi_attention_pass *p, int64_t blocks, int bytes,
            void *stream)
{
    if (blocks > 0) wgi::launch_blocks(kernel, *p, blocks, wgi::PLAIN_THREADS, bytes, stream);
}

template <class R> void launch_forward(const wgi_attention_pass *p, void *stream)
{
    launch(forward_kernel<R>, p, tiles(p->tq) * p->heads * p->batch * wgi::plain_parts(p->dv),
           wgi::PLAIN_FORWARD_WORDS * int(sizeof(R)), stream);
}

template <class R> void launch_backward(const wgi_attention_pass *p, void *stream)
{
    const int widest = p->d > p->dv ? p->d : p->dv;
    launch(query_kernel<R>, p, tiles(p->tq) * p->heads * p->batch * wgi::plain_parts(p->d),
           wgi::PLAIN_FORWARD_WORDS * int(sizeof(R)), stream);
    launch(key_kernel<R>, p, tiles(p->tk) * p->kv_heads * p->batch * wgi::plain_parts(widest),
           wgi::PLAIN_WORDS * int(sizeof(R)), stream);
}

template <class R, bool CHUNKS>
void launch_rows(const wgi_attention_pass *p, double unit, void *stream)
{
    const int64_t rows = int64_t(p->batch) * p->heads * p->rows;
    const int lanes = CHUNKS ? 8 : 32;
    if (rows == 0) return;
    rows_kernel<R, CHUNKS><<<unsigned(rows * lanes / wgi::ROWS_THREADS), wgi::ROWS_THREADS, 0,
                             static_cast<cudaStream_t>(stream)>>>(*p, R(unit));
}

} // namespace

extern "C" void wgi_launch_attention_plain(const wgi_attention_pass *p, bool f64, void *stream)
{
    f64 ? launch_forward<double>(p, stream) : launch_forward<float>(p, stream);
}

extern "C" void wgi_launch_attention_backward_plain(const wgi_attention_pass *p, bool f64,
                                                    void *stream)
{
    f64 ? launch_backward<double>(p, stream) : launch_backward<float>(p, stream);
}

extern "C" void wgi_launch_attention_rows(const wgi_attention_pass *p, wgi_attention_rows_kind kind,
                                          double lse_unit, void *stream)
{
    switch (kind) {
    case WGI_ATTENTION_ROWS_F64: return launch_rows<double, false>(p, lse_unit, stream);
    case WGI_ATTENTION_ROWS_F32: return launch_rows<float, false>(p, lse_unit, stream);
    case WGI_ATTENTION_ROWS_CHUNKS: return launch_rows<float, true>(p, lse_unit, stream);
    }
}
