/* Conversion of contiguous elements between dtypes, per instruction-set level. */
#ifndef WGI_CPU_CONVERT_H
#define WGI_CPU_CONVERT_H
#include <stdint.h>

#include "cpu/level.h"
#include "wengert/base.h"

typedef void (*wgi_convert_fn)(void *to, const void *from, int64_t n);

/* to[t][from](...): floats to integers truncate and saturate, NaN becomes 0; integers to
 * narrower ones keep the low bits; anything to bool is != 0; to 16 bits rounds to nearest, ties
 * to even. */
typedef struct {
    const wgi_convert_fn *to[WG_DTYPE_COUNT];
} wgi_convert_kernels;
WGI_DECLARE_LEVELS(wgi_convert_kernels, wgi_convert_kernels);

static inline wgi_convert_fn wgi_converter(wg_dtype to, wg_dtype from)
{
    return WGI_PICK(wgi_convert_kernels)->to[to][from];
}
#endif
