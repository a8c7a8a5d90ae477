/* Elementwise passes over tensors of any strides and dtypes: broadcast, split, converted by
 * blocks, computed by contiguous loops. The loops are picked from a table by formula and by the
 * type that they compute in. */
#ifndef WGI_CPU_ELEMENTWISE_H
#define WGI_CPU_ELEMENTWISE_H
#include <stdbool.h>

#include "cpu/elementwise_kernels.h"
#include "tensor/internal.h"

enum { WGI_OPERANDS = 4 };

/* A loop with the dtypes of its operands. */
typedef struct {
    wgi_loop_fn fn;
    uint8_t in[WGI_OPERANDS], out; /* wg_dtype */
    int64_t grain;                 /* elements of one piece; 0: WGI_GRAIN */
} wgi_loop;

/* The type that an op with this output computes in: f64, f32 (also for 16 bits), i64 for all
 * integers and bool. */
static inline wg_dtype wgi_compute_dtype(wg_dtype t)
{
    return t == WG_F64 ? WG_F64 : wgi_is_float(t) ? WG_F32 : WG_I64;
}
/* The loop of a formula whose operands and result are all of the type `compute`; fn is NULL
 * where there is none. */
wgi_loop wgi_formula_loop(wgi_formula f, wg_dtype compute);

/* out = loop(in...), or out += with accumulate. The inputs broadcast to out's shape; all on the
 * CPU. */
void wgi_elementwise(const wgi_loop *loop, wg_tensor *out, int n, wg_tensor *const *in,
                     const wgi_numbers *p, bool accumulate);
/* Whether that is one call of the loop on the whole of every operand's memory: contiguous, alike, in its dtypes. */
bool wgi_elementwise_is_plain(const wgi_loop *loop, const wg_tensor *out, int n,
                              wg_tensor *const *in);
/* out = x, converted. */
void wgi_convert_tensor(wg_tensor *out, wg_tensor *x, bool accumulate);
#endif
