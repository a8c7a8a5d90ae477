/* Chains: cheap f32 formulas one after the other on a strip of elements that stays in eight vector registers, where a loop
 * for each would store and load every element again. A chain is an array of items; each does its part and calls the next
 * one with the registers as arguments, which an optimising compiler makes a jump (threaded code: Bell, Communications of
 * the ACM 16(6), 1973). The formulas are those of the loops, and so are the bits. */
#ifndef WGI_CPU_CHAIN_H
#define WGI_CPU_CHAIN_H
#include <stddef.h>

#include "cpu/elementwise_kernels.h"

typedef void (*wgi_chain_fn)(void); /* of a type that each level has for itself */
typedef struct {
    wgi_chain_fn fn;
    float a, b;       /* numbers of the formula */
    const char *data; /* memory of an item that has some: its element 0 */
} wgi_chain_item;

typedef struct {
    int64_t strip;                         /* elements */
    wgi_chain_fn load, store, end;         /* x = data; data = x; the last item */
    wgi_chain_fn onto[WGI_FORMULA_COUNT];  /* x = f(x), or f(x, data); NULL: not in chains */
    wgi_chain_fn under[WGI_FORMULA_COUNT]; /* x = f(data, x) */
    /* Runs a chain on elements first .. first + strip - 1. */
    void (*run)(const wgi_chain_item *code, int64_t first);
    /* Copies bytes past the caches where the processor can, for results too large to be found there again: memory is not read before it is written.
     * wgi_stream_end before another thread reads. */
    void (*send)(void *to, const void *from, size_t bytes);
} wgi_chain_kernels;
WGI_DECLARE_LEVELS(wgi_chain_kernels, wgi_chain_kernels);
#endif
