/* What test_ptx.cpp runs. Where a kernel's mistake shows, the line bears the fault's name in a comment: the interpreter
 * has to tell that line. */
#include "faults.h"

#include <cuda_runtime.h>

#include <cstring>
#include <vector>

namespace
{

/* n values on the device: those of fn(i), or none yet. */
template <class T> struct array {
    T *p = nullptr;
    int n;
    explicit array(int count) : n(count) { cudaMalloc(reinterpret_cast<void **>(&p), bytes()); }
    template <class F> array(int count, F fn) : array(count)
    {
        std::vector<T> v;
        for (int i = 0; i < n; i++) v.push_back(T(fn(i)));
        cudaMemcpyAsync(p, v.data(), bytes(), cudaMemcpyHostToDevice, nullptr);
    }
    ~array() { cudaFree(p); }
    array(const array &) = delete;
    array &operator=(const array &) = delete;
    size_t bytes() const { return size_t(n) * sizeof(T); }
    /* How many are not fn(i). */
    template <class F> int unlike(F fn) const
    {
        std::vector<T> v;
        v.resize(size_t(n));
        cudaMemcpyAsync(v.data(), p, bytes(), cudaMemcpyDeviceToHost, nullptr);
        int count = 0;
        for (int i = 0; i < n; i++) count += v[size_t(i)] != T(fn(i));
        return count;
    }
};

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

/* ---- exact -------------------------------------------------------------------------------------------------------- */

namespace
{

struct results {
    uint64_t *at;
    template <class T> __device__ void operator()(T v)
    {
        uint64_t bits = 0;
        memcpy(&bits, &v, sizeof v);
        *at++ = bits;
    }
};

/* One instruction, of the operands that its text names. */
#define PUT(T, TO, OP, ...)                                                                        \
    {                                                                                              \
        T d_;                                                                                      \
        asm(OP : TO(d_) : __VA_ARGS__);                                                            \
        put(d_);                                                                                   \
    }
#define PUT16(OP) PUT(uint16_t, "=h", OP " %0, %1, %2;", "h"(uint16_t(x.a)), "h"(uint16_t(x.b)))
#define PUT32(OP)                                                                                  \
    PUT(uint32_t, "=r", OP, "r"(uint32_t(x.a)), "r"(uint32_t(x.b)), "r"(uint32_t(x.c)))
#define PUT64(OP)                                                                                  \
    PUT(uint64_t, "=l", OP, "l"(x.a), "l"(x.b), "l"(x.c), "r"(uint32_t(x.a)), "r"(uint32_t(x.b)))
#define OF_F32                                                                                     \
    "f"(__uint_as_float(uint32_t(x.a))), "f"(__uint_as_float(uint32_t(x.b))),                      \
        "f"(__uint_as_float(uint32_t(x.c)))
#define OF_F64                                                                                     \
    "d"(__longlong_as_double(x.a)), "d"(__longlong_as_double(x.b)), "d"(__longlong_as_double(x.c))

struct from_f32 {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(int, "=r", "cvt.rni.s32.f32 %0, %1;", OF_F32);
        PUT(int, "=r", "cvt.rmi.s32.f32 %0, %1;", OF_F32);
        PUT(int, "=r", "cvt.rzi.s32.f32 %0, %1;", OF_F32);
        PUT(uint32_t, "=r", "cvt.rni.u32.f32 %0, %1;", OF_F32);
        PUT(uint32_t, "=r", "cvt.rzi.u32.f32 %0, %1;", OF_F32);
        PUT(int64_t, "=l", "cvt.rni.s64.f32 %0, %1;", OF_F32);
        PUT(int64_t, "=l", "cvt.rzi.s64.f32 %0, %1;", OF_F32);
        PUT(uint64_t, "=l", "cvt.rzi.u64.f32 %0, %1;", OF_F32);
        PUT(int16_t, "=h", "cvt.rzi.s16.f32 %0, %1;", OF_F32);
        PUT(uint16_t, "=h", "cvt.rzi.u16.f32 %0, %1;", OF_F32);
        PUT(double, "=d", "cvt.f64.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.sat.f32.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.rni.f32.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.rmi.f32.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.rzi.f32.f32 %0, %1;", OF_F32);
    }
};

struct from_f64 {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(int, "=r", "cvt.rni.s32.f64 %0, %1;", OF_F64);
        PUT(int, "=r", "cvt.rzi.s32.f64 %0, %1;", OF_F64);
        PUT(uint32_t, "=r", "cvt.rzi.u32.f64 %0, %1;", OF_F64);
        PUT(int64_t, "=l", "cvt.rni.s64.f64 %0, %1;", OF_F64);
        PUT(int64_t, "=l", "cvt.rmi.s64.f64 %0, %1;", OF_F64);
        PUT(int64_t, "=l", "cvt.rzi.s64.f64 %0, %1;", OF_F64);
        PUT(uint64_t, "=l", "cvt.rzi.u64.f64 %0, %1;", OF_F64);
        PUT(float, "=f", "cvt.rn.f32.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "cvt.rni.f64.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "cvt.rmi.f64.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "cvt.rzi.f64.f64 %0, %1;", OF_F64);
    }
};

struct from_integers {
    static __device__ void of(const operands &x, results &put)
    {
        put(float(int(x.a)));
        put(float(uint32_t(x.a)));
        put(float(int64_t(x.a)));
        put(float(x.a));
        put(float(int16_t(x.a)));
        put(float(uint16_t(x.a)));
        put(double(int(x.a)));
        put(double(uint32_t(x.a)));
        put(double(int64_t(x.a)));
        put(double(x.a));
        /* between integers; a register that is wider than the type takes its sign */
        PUT(int, "=r", "cvt.s32.s16 %0, %1;", "h"(int16_t(x.a)));
        PUT(int, "=r", "cvt.s32.s8 %0, %1;", "r"(int(x.a)));
        PUT(uint32_t, "=r", "cvt.u32.u8 %0, %1;", "r"(uint32_t(x.a)));
        PUT(int, "=r", "cvt.s8.s32 %0, %1;", "r"(int(x.a)));
        PUT(int, "=r", "cvt.s16.s32 %0, %1;", "r"(int(x.a)));
        PUT(int64_t, "=l", "cvt.s64.s32 %0, %1;", "r"(int(x.a)));
        PUT(uint64_t, "=l", "cvt.u64.u32 %0, %1;", "r"(uint32_t(x.a)));
        PUT(uint32_t, "=r", "cvt.u32.u64 %0, %1;", "l"(x.a));
    }
};

struct halves {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(uint32_t, "=r", "cvt.rn.f16x2.f32 %0, %1, %2;", OF_F32);
        PUT(uint32_t, "=r", "cvt.rn.bf16x2.f32 %0, %1, %2;", OF_F32);
        PUT(uint16_t, "=h", "cvt.rn.f16.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "cvt.f32.f16 %0, %1;", "h"(uint16_t(x.a)));
    }
};

struct shifts {
    static __device__ void of(const operands &x, results &put)
    {
        const uint16_t h = uint16_t(x.a);
        PUT(uint16_t, "=h", "shl.b16 %0, %1, %2;", "h"(h), "r"(uint32_t(x.b)));
        PUT(uint16_t, "=h", "shr.u16 %0, %1, %2;", "h"(h), "r"(uint32_t(x.b)));
        PUT(int16_t, "=h", "shr.s16 %0, %1, %2;", "h"(h), "r"(uint32_t(x.b)));
        PUT32("shl.b32 %0, %1, %2;");
        PUT32("shr.u32 %0, %1, %2;");
        PUT32("shr.s32 %0, %1, %2;");
        PUT64("shl.b64 %0, %1, %5;");
        PUT64("shr.u64 %0, %1, %5;");
        PUT64("shr.s64 %0, %1, %5;");
    }
};

/* Nothing is divided by zero: PTX leaves open what that is. */
struct integers {
    static __device__ void of(const operands &x, results &put)
    {
        const uint32_t by = uint32_t(x.b) ? uint32_t(x.b) : 1;
        const uint16_t h = uint16_t(x.a), by16 = uint16_t(x.b) ? uint16_t(x.b) : 1;
        PUT32("add.s32 %0, %1, %2;");
        PUT32("sub.s32 %0, %1, %2;");
        PUT32("mul.lo.s32 %0, %1, %2;");
        PUT32("mul.hi.s32 %0, %1, %2;");
        PUT32("mul.hi.u32 %0, %1, %2;");
        PUT64("mul.wide.s32 %0, %4, %5;");
        PUT64("mul.wide.u32 %0, %4, %5;");
        PUT(uint32_t, "=r", "mul.wide.s16 %0, %1, %2;", "h"(h), "h"(uint16_t(x.b)));
        PUT(uint32_t, "=r", "mul.wide.u16 %0, %1, %2;", "h"(h), "h"(uint16_t(x.b)));
        PUT32("mad.lo.s32 %0, %1, %2, %3;");
        PUT64("mad.wide.s32 %0, %4, %5, %3;");
        PUT64("mad.wide.u32 %0, %4, %5, %3;");
        PUT(int, "=r", "div.s32 %0, %1, %2;", "r"(uint32_t(x.a)), "r"(by));
        PUT(int, "=r", "rem.s32 %0, %1, %2;", "r"(uint32_t(x.a)), "r"(by));
        PUT(int, "=r", "div.u32 %0, %1, %2;", "r"(uint32_t(x.a)), "r"(by));
        PUT(int, "=r", "rem.u32 %0, %1, %2;", "r"(uint32_t(x.a)), "r"(by));
        PUT(uint16_t, "=h", "div.s16 %0, %1, %2;", "h"(h), "h"(by16));
        PUT(uint16_t, "=h", "rem.s16 %0, %1, %2;", "h"(h), "h"(by16));
        PUT(uint16_t, "=h", "div.u16 %0, %1, %2;", "h"(h), "h"(by16));
        PUT32("min.s32 %0, %1, %2;");
        PUT32("max.s32 %0, %1, %2;");
        PUT32("min.u32 %0, %1, %2;");
        PUT32("max.u32 %0, %1, %2;");
        PUT32("neg.s32 %0, %1;");
        PUT32("abs.s32 %0, %1;");
        PUT16("add.s16");
        PUT16("sub.s16");
        PUT16("mul.lo.s16");
        PUT16("mul.hi.s16");
        PUT16("mul.hi.u16");
        PUT16("min.s16");
        PUT16("max.u16");
    }
};

struct long_integers {
    static __device__ void of(const operands &x, results &put)
    {
        const uint64_t by = x.b ? x.b : 1;
        PUT64("add.s64 %0, %1, %2;");
        PUT64("sub.s64 %0, %1, %2;");
        PUT64("mul.lo.s64 %0, %1, %2;");
        PUT64("mul.hi.s64 %0, %1, %2;");
        PUT64("mul.hi.u64 %0, %1, %2;");
        PUT64("mad.lo.s64 %0, %1, %2, %3;");
        PUT(int64_t, "=l", "div.s64 %0, %1, %2;", "l"(x.a), "l"(by));
        PUT(int64_t, "=l", "rem.s64 %0, %1, %2;", "l"(x.a), "l"(by));
        PUT(int64_t, "=l", "div.u64 %0, %1, %2;", "l"(x.a), "l"(by));
        PUT(int64_t, "=l", "rem.u64 %0, %1, %2;", "l"(x.a), "l"(by));
        PUT64("min.s64 %0, %1, %2;");
        PUT64("max.s64 %0, %1, %2;");
        PUT64("min.u64 %0, %1, %2;");
        PUT64("max.u64 %0, %1, %2;");
        PUT64("neg.s64 %0, %1;");
        PUT64("abs.s64 %0, %1;");
    }
};

struct bits {
    static __device__ void of(const operands &x, results &put)
    {
        put(__byte_perm(uint32_t(x.a), uint32_t(x.b), uint32_t(x.c) & 0x7777));
        PUT32("prmt.b32 %0, %1, %2, %3;"); /* also with the sign's bytes */
        put(__popc(uint32_t(x.a)));
        put(__clz(int(x.a)));
        put(__clzll(int64_t(x.a)));
        PUT(uint32_t, "=r", "bfi.b32 %0, %1, %2, %3, %4;", "r"(uint32_t(x.a)), "r"(uint32_t(x.b)),
            "r"(uint32_t(x.c) & 255), "r"(uint32_t(x.c) >> 8 & 255));
        PUT(uint64_t, "=l", "bfi.b64 %0, %1, %2, %3, %4;", "l"(x.a), "l"(x.b),
            "r"(uint32_t(x.c) & 255), "r"(uint32_t(x.c) >> 8 & 255));
        PUT32("and.b32 %0, %1, %2;");
        PUT32("or.b32 %0, %1, %2;");
        PUT32("xor.b32 %0, %1, %2;");
        PUT32("not.b32 %0, %1;");
        PUT64("and.b64 %0, %1, %2;");
        PUT64("not.b64 %0, %1;");
        PUT64("mov.b64 %0, {%5, %4};");
        PUT32("{.reg .b16 l, h; mov.b32 {l, h}, %1; mov.b32 %0, {h, l};}");
        PUT32("{.reg .pred p; setp.lt.s32 p, %1, %2; selp.b32 %0, %2, %3, p;}");
        PUT32(
            "{.reg .pred p, q; setp.lt.s32 p, %1, %2; not.pred q, p; mov.u32 %0, %3; @!q mov.u32 %0, %2;}");
    }
};

struct carries {
    static __device__ void of(const operands &x, results &put)
    {
        using whole = unsigned __int128;
        const uint32_t a[2] = { uint32_t(x.a), uint32_t(x.a >> 32) };
        const uint32_t b[2] = { uint32_t(x.b), uint32_t(x.b >> 32) };
        uint32_t r[4];
        put(x.a * x.b);
        put(__umul64hi(x.a, x.b));
        put(__mul64hi(int64_t(x.a), int64_t(x.b)));
        asm("mul.lo.u32 %0, %4, %6;\n"
            "mul.hi.u32 %1, %4, %6;\n"
            "mad.lo.cc.u32 %1, %4, %7, %1;\n"
            "madc.hi.u32 %2, %4, %7, 0;\n"
            "mad.lo.cc.u32 %1, %5, %6, %1;\n"
            "madc.hi.cc.u32 %2, %5, %6, %2;\n"
            "addc.u32 %3, 0, 0;\n"
            "mad.lo.cc.u32 %2, %5, %7, %2;\n"
            "madc.hi.u32 %3, %5, %7, %3;\n"
            : "=&r"(r[0]), "=&r"(r[1]), "=&r"(r[2]), "=&r"(r[3])
            : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]));
        put(r[0] | uint64_t(r[1]) << 32);
        put(r[2] | uint64_t(r[3]) << 32);
        asm("add.cc.u32 %0, %4, %6;\n"
            "addc.cc.u32 %1, %5, %7;\n"
            "addc.u32 %2, 0, 0;\n"
            "sub.cc.u32 %3, %4, %6;\n"
            : "=&r"(r[0]), "=&r"(r[1]), "=&r"(r[2]), "=&r"(r[3])
            : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]));
        put(r[0] | uint64_t(r[1]) << 32);
        put(r[2]);
        asm("sub.cc.u32 %0, %4, %6;\n"
            "subc.cc.u32 %1, %5, %7;\n"
            "subc.u32 %2, 0, 0;\n"
            "mov.u32 %3, 0;\n"
            : "=&r"(r[0]), "=&r"(r[1]), "=&r"(r[2]), "=&r"(r[3])
            : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]));
        put(r[0] | uint64_t(r[1]) << 32);
        put(r[2]);
        const whole left = whole(x.a) << 64 | x.b, right = whole(x.b) << 64 | x.c;
        put(uint64_t(left + right));
        put(uint64_t((left + right) >> 64));
        put(uint64_t(left - right));
        put(uint64_t((left - right) >> 64));
        put(uint64_t((left * right) >> 64));
        uint64_t low, high;
        asm("mad.lo.cc.u64 %0, %2, %3, %4;\n"
            "madc.hi.u64 %1, %2, %3, 0;\n"
            : "=&l"(low), "=&l"(high)
            : "l"(x.a), "l"(x.b), "l"(x.c));
        put(low);
        put(high);
    }
};

struct floats {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(float, "=f", "add.rn.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "sub.rn.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "mul.rn.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "div.rn.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "fma.rn.f32 %0, %1, %2, %3;", OF_F32);
        PUT(float, "=f", "fma.rm.f32 %0, %1, %2, %3;", OF_F32);
        PUT(float, "=f", "fma.rz.f32 %0, %1, %2, %3;", OF_F32);
        PUT(float, "=f", "sqrt.rn.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "rcp.rn.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "min.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "max.f32 %0, %1, %2;", OF_F32);
        PUT(float, "=f", "neg.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "abs.f32 %0, %1;", OF_F32);
        PUT(float, "=f", "copysign.f32 %0, %2, %1;", OF_F32);
    }
};

struct doubles {
    static __device__ void of(const operands &x, results &put)
    {
        PUT(double, "=d", "add.rn.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "sub.rn.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "mul.rn.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "div.rn.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "fma.rn.f64 %0, %1, %2, %3;", OF_F64);
        PUT(double, "=d", "sqrt.rn.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "rcp.rn.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "min.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "max.f64 %0, %1, %2;", OF_F64);
        PUT(double, "=d", "neg.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "abs.f64 %0, %1;", OF_F64);
        PUT(double, "=d", "copysign.f64 %0, %2, %1;", OF_F64);
    }
};

#define IS(BY, ...)                                                                                \
    PUT(uint32_t, "=r", "{.reg .pred p; setp." BY " p, %1, %2; selp.u32 %0, 1, 0, p;}", __VA_ARGS__)
#define OF_S32 "r"(uint32_t(x.a)), "r"(uint32_t(x.b))
#define OF_S64 "l"(x.a), "l"(x.b)

struct comparisons {
    static __device__ void of(const operands &x, results &put)
    {
        IS("eq.f32", OF_F32);
        IS("ne.f32", OF_F32);
        IS("lt.f32", OF_F32);
        IS("le.f32", OF_F32);
        IS("gt.f32", OF_F32);
        IS("ge.f32", OF_F32);
        IS("equ.f32", OF_F32);
        IS("neu.f32", OF_F32);
        IS("ltu.f32", OF_F32);
        IS("leu.f32", OF_F32);
        IS("gtu.f32", OF_F32);
        IS("geu.f32", OF_F32);
        IS("num.f32", OF_F32);
        IS("nan.f32", OF_F32);
        IS("eq.s32", OF_S32);
        IS("ne.s32", OF_S32);
        IS("lt.s32", OF_S32);
        IS("ge.s32", OF_S32);
        IS("lt.u32", OF_S32);
        IS("ge.u32", OF_S32);
        IS("gt.s64", OF_S64);
        IS("le.s64", OF_S64);
        IS("gt.u64", OF_S64);
        IS("le.u64", OF_S64);
    }
};

struct functions {
    static __device__ void of(const operands &x, results &put)
    {
        const float a = __uint_as_float(uint32_t(x.a)), b = __uint_as_float(uint32_t(x.b));
        put(sinf(a));
        put(cosf(a));
        put(expf(a));
        put(logf(a));
        put(tanhf(a));
        put(erff(a));
        put(powf(a, b));
    }
};

struct long_functions {
    static __device__ void of(const operands &x, results &put)
    {
        const double a = __longlong_as_double(x.a), b = __longlong_as_double(x.b);
        put(sin(a));
        put(cos(a));
        put(exp(a));
        put(log(a));
        put(tanh(a));
        put(erf(a));
        put(pow(a, b));
    }
};

constexpr unsigned ALL_LANES = 0xffffffff;

template <int WIDTH> __device__ void shuffle(const operands &x, results &put)
{
    const uint32_t v = uint32_t(x.a);
    put(__shfl_up_sync(ALL_LANES, v, unsigned(x.b), WIDTH));
    put(__shfl_down_sync(ALL_LANES, v, unsigned(x.b), WIDTH));
    put(__shfl_xor_sync(ALL_LANES, v, int(x.b), WIDTH));
    put(__shfl_sync(ALL_LANES, v, int(x.c), WIDTH));
}
struct shuffles {
    static __device__ void of(const operands &x, results &put)
    {
        shuffle<8>(x, put);
        shuffle<16>(x, put);
        shuffle<32>(x, put);
        put(__shfl_xor_sync(ALL_LANES, x.a, 5)); /* of 64 bits */
        PUT(uint32_t, "=r",
            "{.reg .pred p; .reg .b32 v; shfl.sync.down.b32 v|p, %1, %2, 0x181f, 0xffffffff; selp.u32 %0, 1, 0, p;}",
            OF_S32);
    }
};

struct votes {
    static __device__ void of(const operands &x, results &put)
    {
        const unsigned lane = threadIdx.x % 32, odd = unsigned(x.a & 1);
        const unsigned all = __ballot_sync(ALL_LANES, odd);
        put(all);
        put(__popc(all & ((1u << lane) - 1)));
        put(__any_sync(ALL_LANES, x.a > x.b));
        put(__any_sync(ALL_LANES, x.a == 12345));
        unsigned part;
        if (lane < 10)
            part = __ballot_sync(0x3ff, !odd);
        else
            part = __ballot_sync(0xfffffc00, odd) | 1;
        put(part);
        PUT(uint32_t, "=r",
            "{.reg .pred p; setp.ne.u32 p, %1, 0; vote.sync.ballot.b32 %0, !p, 0xffffffff;}",
            "r"(odd));
    }
};

/* Lanes part at branches, and meet again. */
struct partings {
    static __device__ void of(const operands &x, results &put)
    {
        const int lane = int(threadIdx.x % 32), turns = int(x.a % 13);
        uint32_t sum = uint32_t(x.b);
        for (int k = 0; k < turns; k++) sum = sum * 3 + uint32_t(k); /* left at different times */
        put(__shfl_xor_sync(ALL_LANES, sum, 1));

        uint32_t fell = 0;
        switch (x.a % 5) {
        case 0: fell += 1;                            /* falls through */
        case 1: fell = fell * 10 + uint32_t(x.b % 7); /* falls through */
        case 2: fell += 5; break;
        case 3: fell = uint32_t(x.c); /* falls through */
        default: fell ^= 0x55;
        }
        put(__shfl_down_sync(ALL_LANES, fell, 3));

        uint32_t found = 0;
        for (uint32_t i = 0; i < 9; i++) { /* with break and continue, nested */
            if ((x.b >> i & 3) == 2) continue;
            for (uint32_t j = 0; j < 5; j++) {
                if ((x.c >> (i + j) & 7) == 5) break;
                found += i * j + 1;
            }
            if (found > x.a % 50) break;
        }
        put(__shfl_sync(ALL_LANES, found, 31 - lane));

        /* groups of 8 lanes, each with as many turns as it has, meet among themselves */
        const int group = lane / 8;
        const unsigned mask = 0xffu << (8 * group);
        uint32_t v = uint32_t(x.a);
#pragma unroll 1
        for (int k = 0; k <= group; k++) {
            v += __shfl_xor_sync(mask, v, 1);
            v += __shfl_xor_sync(mask, v, 4);
        }
        put(v);
        put(__ballot_sync(ALL_LANES, v & 16));

        uint32_t last = v; /* those that go on shrink to one */
#pragma unroll 1
        for (int first = 0; first <= lane; first++)
            last = last * 5 + uint32_t(__shfl_sync(ALL_LANES << first, int(v), first));
        put(last);
    }
};

__device__ __noinline__ float apart(float a, double b, int n)
{
    float kept[6];
    for (int i = 0; i < 6; i++) kept[(i * n + 1) % 6] = a + float(i);
    return kept[n] * float(b);
}
__device__ __noinline__ uint32_t steps(uint32_t n) /* of Collatz's sequence, at most 40 */
{
    uint32_t k = 0;
    while (n > 1 && k < 40) {
        n = n % 2 ? 3 * n + 1 : n / 2;
        k++;
    }
    return k;
}
__device__ __noinline__ uint32_t twice(uint32_t n)
{
    return steps(n) * 100 + steps(n + 1);
}
struct calls {
    static __device__ void of(const operands &x, results &put)
    {
        put(apart(float(x.a % 1000), double(x.b % 77), int(x.c % 2) * 4 + 1));
        uint32_t v = steps(uint32_t(x.a % 1000));
        if (x.b % 2) v += twice(uint32_t(x.b % 1000)); /* not by all lanes */
        put(v);
        put(__shfl_xor_sync(ALL_LANES, v, 16));
    }
};

__device__ int seed = 7;
__device__ double factor = -2.5;
__constant__ float scale = 1.5f;
__device__ const int sparse[8] = { 5, 6 };
__device__ const uint16_t shorts[5] = { 1, 0x8000, 65535, 256, 77 };
__constant__ float table[4] = { 0.5f, -0.0f, 1e-40f, 3e38f };
__constant__ int64_t longs[3] = { -1, 0, int64_t(1) << 62 };
__device__ int zeros[4];
struct variables {
    static __device__ void of(const operands &x, results &put)
    {
        volatile int *v = &seed;
        volatile double *d = &factor;
        volatile int *z = zeros;
        put(*v);
        put(*d);
        put(scale);
        put(sparse[x.a % 8]);
        put(shorts[x.a % 5]);
        put(table[x.a % 4]);
        put(longs[x.a % 3]);
        put(z[x.a % 4]);
    }
};

template <class G> __global__ void each(const operands *x, int n, uint64_t *out, int *count)
{
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    uint64_t *mine = out + int64_t(i) * MOST_RESULTS;
    results put { mine };
    G::of(x[i], put);
    if (i == 0) *count = int(put.at - mine);
}

template <class G> int run_each(const operands *x, int n, uint64_t *out)
{
    array<operands> given(n, [=](int i) { return x[i]; });
    array<uint64_t> got(n * MOST_RESULTS);
    array<int> count(1);
    each<G><<<(n + 127) / 128, 128>>>(given.p, n, got.p, count.p);
    int results;
    cudaMemcpyAsync(&results, count.p, sizeof results, cudaMemcpyDeviceToHost, nullptr);
    for (int i = 0; i < n; i++)
        cudaMemcpyAsync(out + i * results, got.p + i * MOST_RESULTS, size_t(results) * 8,
                        cudaMemcpyDeviceToHost, nullptr);
    return results;
}

} // namespace

extern "C" {
int exact_from_f32(const operands *x, int n, uint64_t *out)
{
    return run_each<from_f32>(x, n, out);
}
int exact_from_f64(const operands *x, int n, uint64_t *out)
{
    return run_each<from_f64>(x, n, out);
}
int exact_from_integers(const operands *x, int n, uint64_t *out)
{
    return run_each<from_integers>(x, n, out);
}
int exact_halves(const operands *x, int n, uint64_t *out)
{
    return run_each<halves>(x, n, out);
}
int exact_shifts(const operands *x, int n, uint64_t *out)
{
    return run_each<shifts>(x, n, out);
}
int exact_integers(const operands *x, int n, uint64_t *out)
{
    return run_each<integers>(x, n, out);
}
int exact_long_integers(const operands *x, int n, uint64_t *out)
{
    return run_each<long_integers>(x, n, out);
}
int exact_bits(const operands *x, int n, uint64_t *out)
{
    return run_each<bits>(x, n, out);
}
int exact_carries(const operands *x, int n, uint64_t *out)
{
    return run_each<carries>(x, n, out);
}
int exact_f32(const operands *x, int n, uint64_t *out)
{
    return run_each<floats>(x, n, out);
}
int exact_f64(const operands *x, int n, uint64_t *out)
{
    return run_each<doubles>(x, n, out);
}
int exact_comparisons(const operands *x, int n, uint64_t *out)
{
    return run_each<comparisons>(x, n, out);
}
int exact_functions(const operands *x, int n, uint64_t *out)
{
    return run_each<functions>(x, n, out);
}
int exact_long_functions(const operands *x, int n, uint64_t *out)
{
    return run_each<long_functions>(x, n, out);
}
int exact_shuffles(const operands *x, int n, uint64_t *out)
{
    return run_each<shuffles>(x, n, out);
}
int exact_votes(const operands *x, int n, uint64_t *out)
{
    return run_each<votes>(x, n, out);
}
int exact_partings(const operands *x, int n, uint64_t *out)
{
    return run_each<partings>(x, n, out);
}
int exact_calls(const operands *x, int n, uint64_t *out)
{
    return run_each<calls>(x, n, out);
}
int exact_variables(const operands *x, int n, uint64_t *out)
{
    return run_each<variables>(x, n, out);
}
}
