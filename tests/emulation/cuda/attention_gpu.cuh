/* In place of src/cuda/attention_gpu.cuh: the machine of attention's kernels on emulated threads.
 * Copies to shared memory are done at once; tests/test_attention_tile.cpp looks after order. */
#ifndef WENGERT_TESTS_EMULATION_ATTENTION_GPU_CUH
#define WENGERT_TESTS_EMULATION_ATTENTION_GPU_CUH
#include "cuda/attention_element.h"
#include "emulation.h"

namespace wgi
{

alignas(128) inline unsigned char attention_memory[99 * 1024];

struct gpu {
    static int thread() { return int(threadIdx.x); }
    static int64_t block() { return blockIdx.x; }
    static int here(int v) { return v; }
    static int memory() { return 0; }
    static void copy16(int to, const void *from, bool there)
    {
        if (there)
            memcpy(attention_memory + to, from, 16);
        else
            memset(attention_memory + to, 0, 16);
    }
    static void commit() {}
    template <int N> static void wait() {}
    static void sync() { __syncthreads(); }
    static void ldmatrix(uint32_t (&r)[4], int at) { load(r, at, false); }
    static void ldmatrix_trans(uint32_t (&r)[4], int at) { load(r, at, true); }
    template <class T> static T shuffle_xor(T v, int n) { return __shfl_xor_sync(0, v, n); }
    static bool any(bool b)
    {
        bool of[32], all = false;
        all_lanes(b, of);
        for (bool one : of) all = all || one;
        return all;
    }
    template <class T> static T load16(const T *from) { return *from; }
    static float exp2(float x) { return std::exp2(x); }
    static float log2(float x) { return std::log2(x); }
    static float exp(float x) { return std::exp(x); }
    static double exp(double x) { return std::exp(x); }
    static float log(float x) { return std::log(x); }
    static double log(double x) { return std::log(x); }
    template <class T> static T get(int at)
    {
        T v;
        memcpy(&v, attention_memory + at, sizeof v);
        return v;
    }
    template <class T> static void put(int at, T v) { memcpy(attention_memory + at, &v, sizeof v); }

    /* What lane `from` of the warp gave, for every lane. */
    template <class T> static void all_lanes(const T &own, T (&of)[32])
    {
        static_assert(sizeof(T) <= 16, "a slot's size");
        memcpy(emulation::slot_of_lane(emulation::lane()), &own, sizeof own);
        emulation::warp_barrier();
        for (unsigned l = 0; l < 32; l++) memcpy(&of[l], emulation::slot_of_lane(l), sizeof own);
        emulation::warp_barrier();
    }

  private:
    static uint16_t element_of(int row_at, int column)
    {
        return get<uint16_t>(row_at + column * 2);
    }
    static void load(uint32_t (&r)[4], int at, bool transposed)
    {
        int rows[32];
        all_lanes(at, rows);
        const int a = int(emulation::lane()) / 4, b = int(emulation::lane()) % 4 * 2;
        for (int q = 0; q < 4; q++) {
            const int *m = rows + q * 8;
            const uint16_t low = transposed ? element_of(m[b], a) : element_of(m[a], b),
                           high = transposed ? element_of(m[b + 1], a) : element_of(m[a], b + 1);
            r[q] = low | uint32_t(high) << 16;
        }
    }
};

/* c (16, 8) += a (16, 16) b (16, 8), a lane its own four of c. */
template <class E>
void emulated_mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    struct left {
        uint32_t r[4];
    } lefts[32];
    struct right {
        uint32_t r[2];
    } rights[32];
    gpu::all_lanes(left { { a[0], a[1], a[2], a[3] } }, lefts);
    gpu::all_lanes(right { { b0, b1 } }, rights);
    const unsigned lane = emulation::lane();
    for (unsigned e = 0; e < 4; e++) {
        const unsigned row = lane / 4, low = e / 2, column = lane % 4 * 2 + e % 2;
        double sum = c[e];
        for (unsigned k = 0; k < 16; k++) {
            const uint32_t x = lefts[row * 4 + k % 8 / 2].r[k / 8 * 2 + low],
                           y = rights[column * 4 + k % 8 / 2].r[k / 8];
            sum += double(k % 2 ? E::high(x) : E::low(x)) * double(k % 2 ? E::high(y) : E::low(y));
        }
        c[e] = float(sum);
    }
}

struct bf16 {
    static uint32_t pack(float low, float high)
    {
        return wgi_f32_to_bf16(low) | uint32_t(wgi_f32_to_bf16(high)) << 16;
    }
    static float low(uint32_t u) { return wgi_bf16_to_f32(uint16_t(u)); }
    static float high(uint32_t u) { return wgi_bf16_to_f32(uint16_t(u >> 16)); }
    template <class M>
    static void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
    {
        emulated_mma<bf16>(c, a, b0, b1);
    }
};

struct f16 {
    static uint32_t pack(float low, float high)
    {
        return wgi_f32_to_f16(low) | uint32_t(wgi_f32_to_f16(high)) << 16;
    }
    static float low(uint32_t u) { return wgi_f16_to_f32(uint16_t(u)); }
    static float high(uint32_t u) { return wgi_f16_to_f32(uint16_t(u >> 16)); }
    template <class M>
    static void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
    {
        emulated_mma<f16>(c, a, b0, b1);
    }
};

using attention_kernel = void (*)(wgi_attention_pass);

static inline void launch_blocks(attention_kernel kernel, const wgi_attention_pass &p,
                                 int64_t blocks, int threads, int bytes, void *stream)
{
    emulation::launch("attention", unsigned(blocks), unsigned(threads), bytes,
                      static_cast<cudaStream_t>(stream), kernel, p);
}

} // namespace wgi
#endif
