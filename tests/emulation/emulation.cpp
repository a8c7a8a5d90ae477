#include "emulation.h"

#include <cstdio>
#include <cstdlib>

namespace emulation
{

uint3 thread_index, block_index;
dim3 block_size, grid_size;

namespace
{

enum { MOST_THREADS = 1024, STACK = 1 << 17 }; /* a kernel has up to 32 KB of arguments */
enum waiting { RUNS, WAITS_FOR_BLOCK, WAITS_FOR_WARP, DONE };

struct fiber {
    void *stack_pointer;
    char *stack;
    waiting state;
};

fiber fibers[MOST_THREADS];
void *scheduler; /* its stack pointer while a fiber runs */
unsigned running;
void (*body)(void *);
void *body_self;
unsigned char slots[MOST_THREADS / 32][32][16];

} // namespace

/* Saves what the callee has to keep (System V, x86-64), and goes on with the other stack. */
extern "C" void emulation_switch(void **from, void *to);
asm(R"(
.text
.globl emulation_switch
emulation_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

namespace
{

[[noreturn]] void fail(const char *why)
{
    std::fprintf(stderr, "emulation: %s\n", why);
    std::abort();
}

void become(unsigned thread)
{
    running = thread;
    thread_index.x = thread % block_size.x;
    thread_index.y = thread / block_size.x;
    thread_index.z = 0;
}

void wait(waiting state)
{
    const unsigned me = running;
    fibers[me].state = state;
    emulation_switch(&fibers[me].stack_pointer, scheduler);
}

void first_steps()
{
    body(body_self);
    wait(DONE);
    fail("a finished thread went on");
}

void begin(fiber &f)
{
    if (!f.stack) f.stack = static_cast<char *>(std::malloc(STACK));
    if (!f.stack) fail("no memory for a stack");
    const uintptr_t top = (reinterpret_cast<uintptr_t>(f.stack) + STACK) & ~uintptr_t(15);
    void **at = reinterpret_cast<void **>(top - 8); /* aligned as after a call */
    *--at = reinterpret_cast<void *>(first_steps);
    for (int i = 0; i < 6; i++) *--at = nullptr;
    f.stack_pointer = at;
    f.state = RUNS;
}

unsigned count(unsigned first, unsigned end, waiting state)
{
    unsigned n = 0;
    for (unsigned i = first; i < end; i++) n += fibers[i].state == state;
    return n;
}

void release(unsigned first, unsigned end, waiting state)
{
    for (unsigned i = first; i < end; i++)
        if (fibers[i].state == state) fibers[i].state = RUNS;
}

/* Until every thread of the warp is done or waits for the block. */
void run_warp(unsigned first, unsigned end)
{
    while (count(first, end, RUNS) > 0) {
        for (unsigned k = first; k < end; k++) {
            const unsigned i = backwards ? end - 1 - (k - first) : k;
            if (fibers[i].state != RUNS) continue;
            become(i);
            emulation_switch(&scheduler, fibers[i].stack_pointer);
        }
        const unsigned at_warp = count(first, end, WAITS_FOR_WARP);
        if (at_warp == 0) continue;
        if (at_warp != end - first) fail("not all of a warp take part in an exchange");
        release(first, end, WAITS_FOR_WARP);
    }
}

} // namespace

void barrier()
{
    wait(WAITS_FOR_BLOCK);
}

void warp_barrier()
{
    wait(WAITS_FOR_WARP);
}

unsigned lane()
{
    return running % 32;
}

void *slot_of_lane(unsigned lane)
{
    return slots[running / 32][lane];
}

void run_block(unsigned threads, void (*kernel)(void *), void *self)
{
    body = kernel;
    body_self = self;
    if (threads > MOST_THREADS) fail("too many threads in a block");
    for (unsigned i = 0; i < threads; i++) begin(fibers[i]);
    for (;;) {
        for (unsigned k = 0; k < threads; k += 32) {
            const unsigned first = backwards ? (threads - 1) / 32 * 32 - k : k;
            run_warp(first, first + 32 < threads ? first + 32 : threads);
        }
        const unsigned done = count(0, threads, DONE);
        if (done == threads) return;
        if (done > 0) fail("not all of a block reach a barrier");
        release(0, threads, WAITS_FOR_BLOCK);
    }
}

} // namespace emulation
