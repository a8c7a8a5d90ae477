/* The warpgroups' kernels of one element type, and the choice among them. */
#ifndef WGI_CUDA_ATTENTION_HOPPER_LAUNCH_CUH
#define WGI_CUDA_ATTENTION_HOPPER_LAUNCH_CUH
#include "cuda/attention_group.h"
#include "cuda/attention_hopper.cuh"
#include "cuda/attention_launch.cuh"

namespace wgi
{

/* The code of other devices, which is there so that these files load on them: attention.c does not launch it. */
#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define WGI_ON_HOPPER(CALL) __trap()
#else
#define WGI_ON_HOPPER(CALL) CALL
#endif

template <class E, class S>
__global__ void __launch_bounds__(S::threads, S::blocks)
    group_forward_kernel(const __grid_constant__ wgi_attention_pass p)
{
    WGI_ON_HOPPER((group_forward<hopper, E, S>(p)));
}

template <class E, class S>
__global__ void __launch_bounds__(S::threads, S::blocks)
    group_query_kernel(const __grid_constant__ wgi_attention_pass p)
{
    WGI_ON_HOPPER((group_of_queries<hopper, E, S>(p)));
}

template <class E, class S>
__global__ void __launch_bounds__(S::threads, S::blocks)
    group_key_kernel(const __grid_constant__ wgi_attention_pass p)
{
    WGI_ON_HOPPER((group_of_keys<hopper, E, S>(p)));
}
#undef WGI_ON_HOPPER

constexpr int hopper_shared_limit = 227 * 1024;

template <class E, int HD> void launch_group_forward(const wgi_attention_pass &p, void *stream)
{
    using S = group_forward_shape<HD>;
    static_assert(S::blocks * (S::bytes + 1024) <= 228 * 1024, "the blocks fit a multiprocessor");
    launch_tiles(group_forward_kernel<E, S>, p, p.tq, p.heads, S::rows, S::threads, S::bytes,
                 stream);
}

template <class E, int HD> void launch_group_backward(const wgi_attention_pass &p, void *stream)
{
    using Q = group_query_shape<HD>;
    using K = group_key_shape<HD>;
    static_assert(Q::bytes <= hopper_shared_limit && K::bytes <= hopper_shared_limit,
                  "a block fits the device");
    launch_tiles(group_query_kernel<E, Q>, p, p.tq, p.heads, Q::rows, Q::threads, Q::bytes, stream);
    launch_tiles(group_key_kernel<E, K>, p, p.tk, p.kv_heads, K::rows, K::threads, K::bytes,
                 stream);
}

} // namespace wgi
#endif
