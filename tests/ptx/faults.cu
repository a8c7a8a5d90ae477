/* What test_ptx_faults.cpp runs. Where a kernel's mistake shows, the line bears the fault's name in a comment: the interpreter
 * has to tell that line. */
#include "faults.h"

#include "device_array.h"

namespace
{

__host__ __device__ int value(int i)
{
    return 7 * i + 3;
}

/* ---- addresses ---------------------------------------------------------------------------------------------------- */

template <bool WRONG> __global__ void read_behind(const int *x, int *y) /* x (64) */
{
    y[threadIdx.x] = x[threadIdx.x + WRONG]; /* read_behind */
}
template <bool WRONG> __global__ void write_behind(const int *x, int *y) /* y (64) */
{
    y[threadIdx.x + WRONG] = x[threadIdx.x]; /* write_behind */
}
__global__ void copy(const int *x, int *y)
{
    y[threadIdx.x] = x[threadIdx.x]; /* read_freed, unwritten */
}

__device__ const int primes[8] = { 2, 3, 5, 7, 11, 13, 17, 19 };
template <bool WRONG> __global__ void variable_behind(int *y)
{
    y[threadIdx.x] = primes[threadIdx.x + WRONG]; /* variable_behind */
}

/* at (24): below 8. */
template <bool WRONG> __global__ void local_behind(const int *at, int *y)
{
    int mine[8];
    for (int i = 0; i < 8; i++) mine[at[i]] = value(i);
    y[threadIdx.x] = mine[at[threadIdx.x] + WRONG]; /* local_behind */
}
template <bool WRONG> __global__ void shared_behind(const int *x, int *y)
{
    __shared__ int s[64];
    s[threadIdx.x + WRONG] = x[threadIdx.x]; /* shared_behind */
    __syncthreads();
    y[threadIdx.x] = s[63 - threadIdx.x];
}
template <bool WRONG> __global__ void misaligned(const float *x, float4 *y)
{
    y[threadIdx.x] =
        *reinterpret_cast<const float4 *>(x + 4 * threadIdx.x + WRONG); /* misaligned */
}
template <bool WRONG> __global__ void misaligned_shared(const float *x, float2 *y)
{
    __shared__ __align__(16) float s[66];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if (threadIdx.x < 31)
        y[threadIdx.x] =
            *reinterpret_cast<float2 *>(s + 2 * threadIdx.x + WRONG); /* misaligned_shared */
}
template <bool WRONG> __global__ void count_up(int *x, int n)
{
    if (int(threadIdx.x) < n - WRONG) x[threadIdx.x] = value(int(threadIdx.x));
}
__global__ void add_to_counter(int *counter)
{
    atomicAdd(counter, int(threadIdx.x)); /* unwritten_counter */
}

/* ---- races in shared memory --------------------------------------------------------------------------------------- */

template <bool WRONG> __global__ void race_read_early(const int *x, int *y)
{
    __shared__ int s[64];
    s[threadIdx.x] = x[threadIdx.x];
    if (!WRONG) __syncthreads();
    y[threadIdx.x] = s[threadIdx.x % 32]; /* race_read_early */
}
template <bool WRONG> __global__ void race_next_round(const int *x, int *y) /* y (32) */
{
    __shared__ int s[64];
    int sum = 0;
#pragma unroll 1
    for (int k = 0; k < 3; k++) {
        s[threadIdx.x] = x[threadIdx.x] + k; /* race_next_round */
        __syncthreads();
        if (threadIdx.x < 32) sum += s[threadIdx.x + 32];
        if (!WRONG) __syncthreads();
    }
    if (threadIdx.x < 32) y[threadIdx.x] = sum;
}
template <bool WRONG> __global__ void race_in_warp(const int *x, int *y)
{
    __shared__ int s[32];
    s[threadIdx.x] = x[threadIdx.x];
    if (!WRONG) __syncwarp();
    y[threadIdx.x] = s[31 - threadIdx.x]; /* race_in_warp */
}
/* All have read what the last lane writes. */
template <bool WRONG> __global__ void race_after_broadcast(const int *x, int *y)
{
    __shared__ int s[32];
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    const int first = s[0];
    if (!WRONG) __syncwarp();
    if (threadIdx.x == 31) s[0] = first + 1; /* race_after_broadcast */
    __syncwarp();
    y[threadIdx.x] = first + s[0];
}
/* A word is two threads': that is none. */
template <bool WRONG> __global__ void race_of_halves(const int *x, int *y)
{
    __shared__ volatile unsigned short s[64];
    s[threadIdx.x] = static_cast<unsigned short>(x[threadIdx.x]);
    y[threadIdx.x] = s[threadIdx.x ^ WRONG]; /* race_of_halves */
}
template <bool WRONG> __global__ void race_with_atomic(int *y)
{
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    if (!WRONG) __syncthreads();
    atomicAdd(&sum, int(threadIdx.x)); /* race_with_atomic */
    __syncthreads();
    y[threadIdx.x] = sum;
}

/* ---- barriers, shuffles ------------------------------------------------------------------------------------------- */

template <bool WRONG> __global__ void barrier_divergent(const int *x, int *y)
{
    __shared__ int s[64];
    s[threadIdx.x] = x[threadIdx.x];
    if (!WRONG || threadIdx.x % 32 < 16) __syncthreads(); /* barrier_divergent */
    y[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] += s[threadIdx.x ^ 32];
}
template <bool WRONG> __global__ void barrier_missed(const int *x, int *y)
{
    if (!WRONG || threadIdx.x < 32) __syncthreads(); /* barrier_missed */
    y[threadIdx.x] = x[threadIdx.x];
}
__global__ void count_at_barrier(const int *x, int *y)
{
    y[threadIdx.x] = __syncthreads_count(x[threadIdx.x] % 2);
}
/* The sum of n, in lane 0. */
template <bool WRONG> __global__ void shuffle_of_ended(const int *x, int *y, int n)
{
    const int t = int(threadIdx.x);
    if (WRONG && t >= n) return;
    int sum = t < n ? x[t] : 0;
    for (int by = 16; by > 0; by /= 2)
        sum += __shfl_down_sync(0xffffffff, sum, by); /* shuffle_of_ended */
    if (t == 0) *y = sum;
}
template <bool WRONG> __global__ void shuffle_divergent(const int *x, int *y)
{
    int v = x[threadIdx.x];
    if (threadIdx.x < 16)
        v = __shfl_xor_sync(WRONG ? 0xffffffff : 0xffff, v, 1); /* shuffle_divergent */
    else
        v = 2 * __shfl_xor_sync(WRONG ? 0xffffffff : 0xffff0000, v, 2);
    y[threadIdx.x] = v;
}
template <bool WRONG> __global__ void ballot_divergent(const int *x, int *y)
{
    const bool large = x[threadIdx.x] > 99;
    unsigned v;
    if (threadIdx.x % 2)
        v = __ballot_sync(WRONG ? 0xffffffff : 0xaaaaaaaa, large);
    else
        v = ~__ballot_sync(WRONG ? 0xffffffff : 0x55555555, large); /* ballot_divergent */
    y[threadIdx.x] = int(v);
}

/* ---- blocks of one launch, each of 32 ----------------------------------------------------------------------------- */

template <bool WRONG> __global__ void blocks_overlap(int *y)
{
    const int i = int(blockIdx.x) * (WRONG ? 31 : 32) + int(threadIdx.x);
    y[i] = value(i); /* blocks_overlap */
}
template <bool WRONG> __global__ void block_reads_before(const int *x, int *y, int *z)
{
    const int i = int(blockIdx.x * 32 + threadIdx.x);
    y[i] = x[i];
    z[i] = i > 0 ? (WRONG ? y : x)[i - 1] : 0; /* block_reads_before */
}
template <bool WRONG> __global__ void block_reads_behind(const int *x, int *y, int *z)
{
    const int i = int(blockIdx.x * 32 + threadIdx.x);
    z[i] = i + 1 < 64 ? (WRONG ? y : x)[i + 1] : 0;
    y[i] = x[i]; /* block_reads_behind */
}

/* ---- what goes on by itself --------------------------------------------------------------------------------------- */

__device__ uint32_t in_shared(const void *p)
{
    return uint32_t(__cvta_generic_to_shared(p));
}

enum copy_mistake { NOT_WAITED = 1, NOT_COMMITTED, PAST_ITS_END };
/* y (128) is x (128) backwards, by a warp. */
template <int WRONG>
__global__ void copies(const int *x, int *y) /* copy_not_waited, copy_not_committed */
{
    __shared__ __align__(16) int s[128];
    const int at = 4 * int(threadIdx.x);
    const uint32_t to = in_shared(s + at);
    const int *from = x + at + (WRONG == PAST_ITS_END ? 4 : 0);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to),
                 "l"(from) /* copy_past_its_end */
                 : "memory");
    if (WRONG != NOT_COMMITTED) asm volatile("cp.async.commit_group;" ::: "memory");
    if (WRONG != NOT_WAITED) asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncwarp();
    for (int k = 0; k < 4; k++) y[at + k] = s[127 - at - k];
}

/* Row r of 16 numbers in bf16, as wgmma wants it: rows of 128 bytes, their chunks swizzled. */
template <class F> __device__ void fill_row(unsigned char *m, int r, F fn)
{
    for (int k = 0; k < 16; k++)
        *reinterpret_cast<unsigned short *>(m + 128 * r + ((2 * k) ^ ((r & 7) << 4))) =
            static_cast<unsigned short>(__float_as_uint(float(fn(k))) >> 16);
}
__host__ __device__ int a_of(int m, int k)
{
    return m % 8 + k;
}
__host__ __device__ int b_of(int n, int k)
{
    return n - k;
}
__device__ uint64_t described(const void *m) /* 8 rows every 1024 bytes */
{
    return in_shared(m) >> 4 | uint64_t(1) << 16 | uint64_t(64) << 32 | uint64_t(1) << 62;
}

enum product_mistake { UNSENT = 1, NO_BARRIER, PRODUCT_NOT_WAITED, UNWRITTEN };
/* c (64, 8) = a (64, 16) b (8, 16)^T by a warpgroup. */
template <int WRONG> __global__ void product(float *c) /* product_not_waited */
{
    __shared__ __align__(1024) unsigned char a[64 * 128], b[8 * 128];
    const int t = int(threadIdx.x);
    if (t < 64) fill_row(a, t, [=](int k) { return a_of(t, k); });
    if (t >= 64 && t < (WRONG == UNWRITTEN ? 71 : 72))
        fill_row(b, t - 64, [=](int k) { return b_of(t - 64, k); });
    if (WRONG != UNSENT) asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    if (WRONG != NO_BARRIER) __syncthreads();
    const uint64_t left = described(a), right = described(b);
    float d[4];
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    asm volatile("{.reg .pred p; setp.ne.b32 p, %6, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, "
                 "%4, %5, p, 1, 1, 0, 0;}"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "l"(left), "l"(right),
                   "r"(0) /* product_unsent, product_no_barrier, product_unwritten */
                 : "memory");
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    if (WRONG != PRODUCT_NOT_WAITED)
        asm volatile("wgmma.wait_group.sync.aligned 0;"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])::"memory");
    for (int e = 0; e < 4; e++)
        c[(t / 32 * 16 + t % 32 / 4 + e / 2 * 8) * 8 + t % 4 * 2 + e % 2] = d[e];
}

int run_product(void (*kernel)(float *))
{
    array<float> c(64 * 8);
    kernel<<<1, 128>>>(c.p);
    return c.unlike([](int i) {
        int sum = 0;
        for (int k = 0; k < 16; k++) sum += a_of(i / 8, k) * b_of(i % 8, k);
        return sum;
    });
}

/* ---- launches ----------------------------------------------------------------------------------------------------- */

__global__ void much_shared(const int *x, int *y, int n)
{
    extern __shared__ int all[];
    for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) all[i] = x[i];
    __syncthreads();
    for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) y[i] = all[n - 1 - i];
}
__global__ void __launch_bounds__(64) few_threads(int *y)
{
    y[threadIdx.x] = value(int(threadIdx.x));
}
__global__ void many_blocks(int *y)
{
    y[blockIdx.y] = value(int(blockIdx.y));
}

/* y (n) of x (n) of value(i), each by a thread. */
template <class F> int run(void (*kernel)(const int *, int *), int n, F fn)
{
    array<int> x(n, value), y(n);
    kernel<<<1, n>>>(x.p, y.p);
    return y.unlike(fn);
}

} // namespace

extern "C" {

int fault_read_behind(int wrong)
{
    return run(wrong ? read_behind<true> : read_behind<false>, 64, value);
}
int fault_write_behind(int wrong)
{
    return run(wrong ? write_behind<true> : write_behind<false>, 64, value);
}
int fault_read_freed(int wrong)
{
    array<int> y(64);
    array<int> *x = new array<int>(64, value);
    const int *p = x->p;
    if (wrong) delete x;
    copy<<<1, 64>>>(p, y.p);
    if (!wrong) delete x;
    return y.unlike(value);
}
int fault_variable_behind(int wrong)
{
    const int want[] = { 2, 3, 5, 7, 11, 13, 17, 19 };
    array<int> y(8);
    (wrong ? variable_behind<true> : variable_behind<false>)<<<1, 8>>>(y.p);
    return y.unlike([&](int i) { return want[i]; });
}
int fault_local_behind(int wrong)
{
    array<int> at(24, [](int i) { return i % 8; }), y(24); /* not to the last lane's memory */
    (wrong ? local_behind<true> : local_behind<false>)<<<1, 24>>>(at.p, y.p);
    return y.unlike([](int i) { return value(i % 8); });
}
int fault_shared_behind(int wrong)
{
    return run(wrong ? shared_behind<true> : shared_behind<false>, 64,
               [](int i) { return value(63 - i); });
}
int fault_misaligned(int wrong)
{
    array<float> x(4 * 32 + 4, value);
    array<float4> y(32);
    (wrong ? misaligned<true> : misaligned<false>)<<<1, 32>>>(x.p, y.p);
    float4 v[32];
    cudaMemcpyAsync(v, y.p, sizeof v, cudaMemcpyDeviceToHost, nullptr);
    int unlike = 0;
    for (int i = 0; i < 32; i++)
        unlike += v[i].x != value(4 * i) || v[i].y != value(4 * i + 1) ||
                  v[i].z != value(4 * i + 2) || v[i].w != value(4 * i + 3);
    return unlike;
}
int fault_misaligned_shared(int wrong)
{
    array<float> x(64, value), y(62);
    (wrong ? misaligned_shared<true>
           : misaligned_shared<false>)<<<1, 64>>>(x.p, reinterpret_cast<float2 *>(y.p));
    return y.unlike(value);
}
int fault_unwritten(int wrong)
{
    array<int> x(64), y(64);
    (wrong ? count_up<true> : count_up<false>)<<<1, 64>>>(x.p, 64);
    copy<<<1, 64>>>(x.p, y.p);
    return y.unlike(value);
}
int fault_unwritten_counter(int wrong)
{
    array<int> counter(1);
    if (!wrong) cudaMemsetAsync(counter.p, 0, counter.bytes(), nullptr);
    add_to_counter<<<2, 64>>>(counter.p);
    return counter.unlike([](int) { return 64 * 63; });
}

int fault_race_read_early(int wrong)
{
    return run(wrong ? race_read_early<true> : race_read_early<false>, 64,
               [](int i) { return value(i % 32); });
}
int fault_race_next_round(int wrong)
{
    array<int> x(64, value), y(32);
    (wrong ? race_next_round<true> : race_next_round<false>)<<<1, 64>>>(x.p, y.p);
    return y.unlike([](int i) { return 3 * value(i + 32) + 3; });
}
int fault_race_in_warp(int wrong)
{
    return run(wrong ? race_in_warp<true> : race_in_warp<false>, 32,
               [](int i) { return value(31 - i); });
}
int fault_race_after_broadcast(int wrong)
{
    return run(wrong ? race_after_broadcast<true> : race_after_broadcast<false>, 32,
               [](int) { return 2 * value(0) + 1; });
}
int fault_race_of_halves(int wrong)
{
    return run(wrong ? race_of_halves<true> : race_of_halves<false>, 64, value);
}
int fault_race_with_atomic(int wrong)
{
    array<int> y(64);
    (wrong ? race_with_atomic<true> : race_with_atomic<false>)<<<1, 64>>>(y.p);
    return y.unlike([](int) { return 32 * 63; });
}

int fault_barrier_divergent(int wrong)
{
    return run(wrong ? barrier_divergent<true> : barrier_divergent<false>, 64,
               [](int i) { return value(i) + value(i ^ 32); });
}
int fault_barrier_missed(int wrong)
{
    return run(wrong ? barrier_missed<true> : barrier_missed<false>, 64, value);
}
int fault_count_at_barrier(int)
{
    return run(count_at_barrier, 64, [](int) { return 32; });
}
int fault_shuffle_of_ended(int wrong)
{
    array<int> x(20, value), y(1);
    (wrong ? shuffle_of_ended<true> : shuffle_of_ended<false>)<<<1, 32>>>(x.p, y.p, 20);
    return y.unlike([](int) { return 7 * 190 + 60; });
}
int fault_shuffle_divergent(int wrong)
{
    return run(wrong ? shuffle_divergent<true> : shuffle_divergent<false>, 32,
               [](int i) { return i < 16 ? value(i ^ 1) : 2 * value(i ^ 2); });
}
int fault_ballot_divergent(int wrong)
{
    return run(wrong ? ballot_divergent<true> : ballot_divergent<false>, 32, [](int i) {
        const unsigned yes = 0xffffffffu << 14; /* value(14) is 101 */
        return int(i % 2 ? yes & 0xaaaaaaaa : ~(yes & 0x55555555));
    });
}

int fault_blocks_overlap(int wrong)
{
    array<int> y(64);
    (wrong ? blocks_overlap<true> : blocks_overlap<false>)<<<2, 32>>>(y.p);
    return y.unlike(value);
}
int fault_block_reads_before(int wrong)
{
    array<int> x(64, value), y(64, value), z(64);
    (wrong ? block_reads_before<true> : block_reads_before<false>)<<<2, 32>>>(x.p, y.p, z.p);
    return z.unlike([](int i) { return i > 0 ? value(i - 1) : 0; });
}
int fault_block_reads_behind(int wrong)
{
    array<int> x(64, value), y(64, value), z(64);
    (wrong ? block_reads_behind<true> : block_reads_behind<false>)<<<2, 32>>>(x.p, y.p, z.p);
    return z.unlike([](int i) { return i < 63 ? value(i + 1) : 0; });
}

static int run_copies(void (*kernel)(const int *, int *))
{
    array<int> x(128, value), y(128);
    kernel<<<1, 32>>>(x.p, y.p);
    return y.unlike([](int i) { return value(127 - i); });
}
int fault_copy_not_waited(int wrong)
{
    return run_copies(wrong ? copies<NOT_WAITED> : copies<0>);
}
int fault_copy_not_committed(int wrong)
{
    return run_copies(wrong ? copies<NOT_COMMITTED> : copies<0>);
}
int fault_copy_past_its_end(int wrong)
{
    return run_copies(wrong ? copies<PAST_ITS_END> : copies<0>);
}
int fault_product_unsent(int wrong)
{
    return run_product(wrong ? product<UNSENT> : product<0>);
}
int fault_product_no_barrier(int wrong)
{
    return run_product(wrong ? product<NO_BARRIER> : product<0>);
}
int fault_product_not_waited(int wrong)
{
    return run_product(wrong ? product<PRODUCT_NOT_WAITED> : product<0>);
}
int fault_product_unwritten(int wrong)
{
    return run_product(wrong ? product<UNWRITTEN> : product<0>);
}

int fault_too_much_shared(int wrong)
{
    const int n = 16 << 10; /* 64 KB, where 48 need not be asked for */
    array<int> x(n, value), y(n);
    if (!wrong)
        cudaFuncSetAttribute(much_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 4 * n);
    much_shared<<<1, 256, 4 * n>>>(x.p, y.p, n);
    return y.unlike([=](int i) { return value(n - 1 - i); });
}
int fault_too_many_threads(int wrong)
{
    array<int> y(wrong ? 65 : 64);
    few_threads<<<1, y.n>>>(y.p);
    return y.unlike(value);
}
int fault_too_many_blocks(int wrong)
{
    array<int> y(65535 + (wrong ? 1 : 0));
    many_blocks<<<dim3(1, y.n), 1>>>(y.p);
    return y.unlike(value);
}
}
