/* The tensor-core kernels of one element type, and the choice among them. */
#ifndef WGI_CUDA_ATTENTION_LAUNCH_CUH
#define WGI_CUDA_ATTENTION_LAUNCH_CUH
#include "cuda/attention_forward.h"
#include "cuda/attention_backward.h"
#include "cuda/attention_gpu.cuh"

namespace wgi
{

template <class E, class S, bool EXTRA>
__global__ void __launch_bounds__(S::threads, 2)
    forward_kernel(const __grid_constant__ wgi_attention_pass p)
{
    attention_forward<gpu, E, S, EXTRA>(p);
}

template <class E, class S, bool EXTRA>
__global__ void __launch_bounds__(S::threads, 2)
    query_kernel(const __grid_constant__ wgi_attention_pass p)
{
    attention_of_queries<gpu, E, S, EXTRA>(p);
}

template <class E, class S, bool EXTRA>
__global__ void __launch_bounds__(S::threads, 2)
    key_kernel(const __grid_constant__ wgi_attention_pass p)
{
    attention_of_keys<gpu, E, S, EXTRA>(p);
}

constexpr int shared_limit = 99 * 1024; /* of a block, on the devices with the least */

/* A block for every tile of `rows` of `length` in `heads` heads. */
static inline void launch_tiles(attention_kernel kernel, const wgi_attention_pass &p, int length,
                                int heads, int rows, int threads, int bytes, void *stream)
{
    const int64_t blocks = int64_t(length + rows - 1) / rows * heads * p.batch;
    if (blocks > 0) launch_blocks(kernel, p, blocks, threads, bytes, stream);
}

template <class E, int HD, bool EXTRA>
void launch_forward(const wgi_attention_pass &p, void *stream)
{
    using S = forward_shape<HD, EXTRA>;
    static_assert(S::bytes <= shared_limit, "a block fits every device");
    launch_tiles(forward_kernel<E, S, EXTRA>, p, p.tq, p.heads, S::rows, S::threads, S::bytes,
                 stream);
}

template <class E, int HD, bool EXTRA>
void launch_backward(const wgi_attention_pass &p, void *stream)
{
    using Q = query_shape<HD, EXTRA>;
    using K = key_shape<HD, EXTRA>;
    static_assert(Q::bytes <= shared_limit && K::bytes <= shared_limit,
                  "a block fits every device");
    launch_tiles(query_kernel<E, Q, EXTRA>, p, p.tq, p.heads, Q::rows, Q::threads, Q::bytes,
                 stream);
    launch_tiles(key_kernel<E, K, EXTRA>, p, p.tk, p.kv_heads, K::rows, K::threads, K::bytes,
                 stream);
}

template <class E, bool EXTRA>
void launch_forward(const wgi_attention_pass &p, int head, void *stream)
{
    switch (head) {
    case 32: return launch_forward<E, 32, EXTRA>(p, stream);
    case 64: return launch_forward<E, 64, EXTRA>(p, stream);
    case 96: return launch_forward<E, 96, EXTRA>(p, stream);
    case 128: return launch_forward<E, 128, EXTRA>(p, stream);
    default: return launch_forward<E, 256, EXTRA>(p, stream);
    }
}

template <class E, bool EXTRA>
void launch_backward(const wgi_attention_pass &p, int head, void *stream)
{
    switch (head) {
    case 32: return launch_backward<E, 32, EXTRA>(p, stream);
    case 64: return launch_backward<E, 64, EXTRA>(p, stream);
    case 96: return launch_backward<E, 96, EXTRA>(p, stream);
    case 128: return launch_backward<E, 128, EXTRA>(p, stream);
    default: return launch_backward<E, 256, EXTRA>(p, stream);
    }
}

} // namespace wgi
#endif
