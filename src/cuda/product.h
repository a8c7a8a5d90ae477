/* Products: from wgi_gemm_args to what cuBLASLt takes, and a plain kernel for what it does not. */
#ifndef WGI_CUDA_PRODUCT_H
#define WGI_CUDA_PRODUCT_H
#include "cpu/gemm.h"
#include "cuda/pass.h"

/* How a matrix of rows x columns lies: row-major with this leading dimension, or column-major. */
typedef struct {
    bool usable, by_columns;
    int64_t ld;
} wgi_product_layout;

/* Not usable: neither stride is 1, or rows overlap; it has to be packed. */
static inline wgi_product_layout wgi_product_layout_of(const wgi_matrix *x, int64_t rows,
                                                       int64_t columns)
{
    wgi_product_layout l = { true, false, 0 };
    if ((x->column == 1 || columns == 1) && (rows == 1 || x->row >= columns)) {
        l.ld = rows == 1 ? columns : x->row;
        return l;
    }
    l.by_columns = true;
    if ((x->row == 1 || rows == 1) && (columns == 1 || x->column >= rows)) {
        l.ld = columns == 1 ? rows : x->column;
        return l;
    }
    l.usable = false;
    return l;
}

/* The plain kernel's arguments: everything by strides; k may be 0. */
typedef struct {
    int64_t m, n, k, batch;
    wgi_matrix a, b, c;
    const void *bias;
    int bias_type, batch_dims;
    int64_t bias_stride, batch_shape[WGI_GEMM_BATCH_DIMS];
    double alpha, beta;
    int compute; /* WG_F64, WG_F32, WG_I64 */
} wgi_product_launch;

#ifdef __cplusplus
extern "C" {
#endif
void wgi_launch_product(const wgi_product_launch *p, void *stream);
#ifdef __cplusplus
}
#endif
#endif
