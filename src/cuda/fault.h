/* What a kernel reports: the first of its elements that is wrong (an index out of range, an integer
 * divided by zero) is written to a record in pinned host memory, and the kernel skips it. The host
 * reads the record's flag without synchronising. Plain, for C and CUDA. */
#ifndef WGI_CUDA_FAULT_H
#define WGI_CUDA_FAULT_H
#include <stdint.h>

typedef enum {
    WGI_FAULT_INDEX,       /* name at (place) is value, out of range for size limit */
    WGI_FAULT_TARGET,      /* target[place] is value, not in [0, limit) */
    WGI_FAULT_CLASS,       /* i[place] = value is not in [0, limit) */
    WGI_FAULT_DIVISION,    /* integer division by zero */
    WGI_FAULT_PROBABILITY, /* p[place] = real is not in [0, 1] */
    WGI_FAULT_WEIGHT,      /* a weight is real */
    WGI_FAULT_NO_WEIGHT,   /* a row of weights has no positive one */
    WGI_FAULT_HEAVY        /* a row of weights sums to infinity */
} wgi_fault_kind;

/* Given to a kernel by value. */
typedef struct {
    int kind, ndim; /* ndim, shape: of the tensor that holds the element, to say where it is */
    int64_t shape[8];
    int64_t limit;
    const void *op; /* the row of the op that runs; for the host */
    char name[8];   /* of the operand, for WGI_FAULT_INDEX */
} wgi_fault_source;

/* In pinned memory; written by one thread of the device, read and cleared by the host. */
typedef struct {
    uint32_t taken; /* the first to raise it from 0 writes the rest */
    uint32_t ready; /* set when all is written */
    wgi_fault_source source;
    int64_t place, value;
    double real;
} wgi_fault_record;

#ifdef __CUDACC__
/* Only for what goes wrong: slow. */
__device__ inline void wgi_fault(wgi_fault_record *r, const wgi_fault_source &s, int64_t place,
                                 int64_t value, double real)
{
    if (atomicCAS(&r->taken, 0u, 1u) != 0u) return;
    r->source = s;
    r->place = place;
    r->value = value;
    r->real = real;
    __threadfence_system();
    *(volatile uint32_t *)&r->ready = 1;
}
#endif
#endif
