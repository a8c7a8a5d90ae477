/* Weights in blocks of quantised values: read, written, multiplied. Plain, for C and CUDA.
 *
 * Kernels work on spans of 256 elements of a row, one warp a span: a block of 256, or eight blocks
 * of 32. A lane reads one word of codes where they have 4 bits or 2, and so holds two quads of
 * neighbouring elements; a warp's loads are side by side. */
#ifndef WGI_CUDA_BLOCKS_H
#define WGI_CUDA_BLOCKS_H
#include "cuda/reduce.h"
#include "wengert/base.h"

/* Rows of `width` elements in blocks of `type` become rows of `to_type`, any plain dtype. */
typedef struct {
    int type, to_type;
    const void *from;
    void *to;
    int64_t rows, width;
    wgi_axes_of from_rows, to_rows; /* where a row begins, in elements */
    int64_t to_step;                /* between elements of a row of `to` */
    const int64_t *index; /* (rows): which row of `from`, below 0: none, nothing is written;
                                       NULL: the row's own number */
} wgi_dequantise_launch;

enum { WGI_BLOCKS_FEW_ROWS = 8, WGI_BLOCKS_WARPS = 4, WGI_BLOCKS_OUTPUTS = 2 };

/* y[i, o] = sum_j x[i, j] w[o, j] + bias[o] (+ y[i, o]) for few rows of x. */
typedef struct {
    int type; /* of w */
    int m;    /* rows of x, at most WGI_BLOCKS_FEW_ROWS */
    int64_t n, k;
    const void *w;
    int64_t w_row; /* bytes */
    const float *x;
    int64_t x_row; /* elements; rows begin at multiples of 16 bytes */
    void *y;
    int y_type;
    wgi_axes_of y_rows; /* m of them */
    int64_t y_column;
    const void *bias; /* NULL: none */
    int bias_type;
    int64_t bias_stride;
    bool accumulate;
} wgi_blocks_few;

/* How a product with w in blocks runs: few rows of x meet w as it lies; for more, panels of w are
 * dequantised one after the other, each for a product of its own. */
typedef struct {
    bool few;
    wg_dtype panel_type;
    int64_t panel; /* of the axis that is cut: rows of w, or, for w's other side, columns */
} wgi_blocks_plan;

/* x and y: their dtypes; cut: size of the axis that may be cut, line: of the other; back: for
 * y = x w, whose panels are columns, so that every sum is whole. */
wgi_blocks_plan wgi_blocks_plan_of(int64_t rows, wg_dtype x, wg_dtype y, int64_t cut, int64_t line,
                                   bool back);

#ifdef __cplusplus
extern "C" {
#endif
void wgi_launch_dequantise(const wgi_dequantise_launch *l, void *stream);
/* `blocks` blocks of 32 from contiguous f32. */
void wgi_launch_quantise(int type, void *to, const float *from, int64_t blocks, void *stream);
void wgi_launch_blocks_few(const wgi_blocks_few *l, void *stream);
#ifdef __cplusplus
}
#endif
#endif
