/* CUDA kernels on the CPU, for tests: every thread of a block is a fiber that runs until it waits for the others. It finds
 * wrong arithmetic, wrong addresses and barriers that not all reach; not races, nor what a device does in its own way. */
#ifndef WENGERT_TESTS_EMULATION_H
#define WENGERT_TESTS_EMULATION_H
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <vector>

#undef __shared__
#undef __launch_bounds__
#undef __grid_constant__
#undef __global__
#undef __forceinline__
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__
#define __global__
#define __forceinline__ inline

namespace emulation
{

extern uint3 thread_index, block_index;
extern dim3 block_size, grid_size;

/* WG_EMULATED_BACKWARDS=1: blocks, warps and threads run in the opposite order, so that what depends on it shows. */
extern const bool backwards;

/* Waits for all threads of the block; for those of the warp. */
void barrier();
void warp_barrier();
void run_block(unsigned threads, void (*kernel)(void *), void *self);
unsigned lane();
void *slot_of_lane(unsigned lane); /* 16 bytes in the running warp */

template <class T> T exchanged(T value, unsigned from)
{
    std::memcpy(slot_of_lane(lane()), &value, sizeof value);
    warp_barrier();
    if (from < 32) std::memcpy(&value, slot_of_lane(from), sizeof value);
    warp_barrier();
    return value;
}

/* Work for a stream: at once, behind what the stream still holds; into the graph where it is being captured. */
enum node_kind { KERNEL, COPY, FILL, SEND /* from pinned memory: as late as it may be */ };
cudaError_t enqueue(cudaStream_t s, node_kind kind, const std::function<void()> &work);

/* WG_EMULATED_DRY=1: nothing is computed, and the device has as much memory as a large one has, none of it behind its
 * addresses: real sizes pass through the host's code in the time that this takes. */
extern const bool dry;

/* The allocation that begins last at p or before it; NULLs: none. */
struct range {
    const char *begin, *end;
    bool pinned; /* the host's */
};
range allocation_of(const void *p);

/* For who keeps account of the device's memory: what was written by other things than kernels, what was given back. */
extern void (*when_written)(const void *p, size_t bytes);
extern void (*when_freed)(const void *p);

/* How often a kernel was launched, under its name: emulation_launches. */
void count_launch(const char *name);

/* Ends the program where a device would refuse the launch. */
void check_launch(const char *name, dim3 grid, dim3 block, size_t shared, size_t arguments);

template <class F> void run_grid(dim3 grid, dim3 block, F kernel)
{
    grid_size = grid;
    block_size = block;
    for (unsigned y = 0; y < grid.y; y++)
        for (unsigned x = 0; x < grid.x; x++) {
            block_index.x = backwards ? grid.x - 1 - x : x;
            block_index.y = backwards ? grid.y - 1 - y : y;
            run_block(
                block.x * block.y, [](void *self) { (*static_cast<F *>(self))(); }, &kernel);
        }
}

/* As CUDA does it: the kernel's arguments are what they are now, whenever it runs. */
template <class F, class... A>
void launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream, F kernel,
            A... arguments)
{
    check_launch(name, grid, block, shared, (sizeof(A) + ... + 0));
    count_launch(name);
    enqueue(stream, KERNEL, [=] { run_grid(grid, block, [&] { kernel(arguments...); }); });
}

inline long long bits_of(double v)
{
    long long bits;
    std::memcpy(&bits, &v, sizeof bits);
    return bits;
}

} // namespace emulation

#define threadIdx emulation::thread_index
#define blockIdx emulation::block_index
#define blockDim emulation::block_size
#define gridDim emulation::grid_size
#define __syncthreads emulation::barrier
#define __syncwarp emulation::warp_barrier
#define __shfl_down_sync(mask, v, by) emulation::exchanged(v, emulation::lane() + (by))
#define __shfl_xor_sync(mask, v, by) emulation::exchanged(v, emulation::lane() ^ (by))
#define __double_as_longlong emulation::bits_of

#include "cuda/fault.h"

inline void wgi_fault(wgi_fault_record *r, const wgi_fault_source &s, int64_t place, int64_t value,
                      double real)
{
    if (r->taken) return;
    r->taken = 1;
    r->source = s;
    r->place = place;
    r->value = value;
    r->real = real;
    r->ready = 1;
}
#endif
