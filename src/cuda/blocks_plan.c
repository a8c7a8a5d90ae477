/* Which way a product with weights in blocks goes. */
#include "cuda/blocks.h"
#include "tensor/internal.h"

enum {
    PANEL_BYTES = 32 << 20, /* stays in the L2 cache of an H100 until the product has read it */
    ROWS = 128,             /* panels are multiples of a tile of the product, */
    COLUMNS = 256           /* and of every block */
};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Panels of one size as far as the unit allows. */
static int64_t even(int64_t cut, int64_t most, int64_t unit)
{
    if (most >= cut) return cut;
    return ceil_div(ceil_div(cut, ceil_div(cut, most)), unit) * unit;
}

wgi_blocks_plan wgi_blocks_plan_of(int64_t rows, wg_dtype x, wg_dtype y, int64_t cut, int64_t line,
                                   bool back)
{
    const bool f64 = x == WG_F64 || y == WG_F64;
    const wg_dtype type = f64                                               ? WG_F64
                          : wgi_is_16bit((int)x) && (y == x || y == WG_F32) ? x
                                                                            : WG_F32;
    const int64_t unit = back ? COLUMNS : ROWS,
                  bytes = (line > 0 ? line : 1) * (int64_t)wg_dtype_size(type),
                  most = PANEL_BYTES / bytes / unit * unit;
    return (wgi_blocks_plan) { .few = !back && !f64 && rows <= WGI_BLOCKS_FEW_ROWS,
                               .panel_type = type,
                               .panel = even(cut, most > unit ? most : unit, unit) };
}
