/* From tensors to matrices: what the ops that are products share. */
#ifndef WGI_OPS_PRODUCT_OP_H
#define WGI_OPS_PRODUCT_OP_H
#include "cpu/gemm.h"
#include "ops/registry.h"
#include "tensor/internal.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* The matrix at the end of t: axes t->ndim - axes ... are row and column. A 1-d operand has only
 * the one that is asked for; the other's stride is 0. */
wgi_matrix wgi_matrix_of(const wg_tensor *t, bool row, bool column);
/* Strides of t's axes but for the last `own` along the axes of a batch shape that they broadcast
 * to. */
void wgi_matrix_batch(wgi_matrix *m, const wg_tensor *t, int own, const wg_dims *batch);
/* Drops batch axes, joins those that are one, and takes them into m or n where A or B is the same
 * for all: a 2-d weight under batched rows is one product. */
void wgi_fold_batch(wgi_gemm_args *g);

/* linear.c: what makes y of linear's operands, which are r's inputs 0, 1, 2; and the gradients of these inputs from the
 * cotangent of x w^T + bias; fused: by kernels of their own, when no higher derivative is wanted. */
wgi_gemm_args wgi_linear_args(const wg_run *r, const wg_tensor *y);
void wgi_linear_vjp(wg_vjp *g, wg_tensor *dy, bool fused);

/* The dtype of a product; raises WG_EDTYPE for bool. */
wg_status wgi_product_dtype(const wg_tensor *x, const wg_tensor *y, wg_dtype *out);
#endif
