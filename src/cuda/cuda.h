/* The CUDA kernels as the rows of ops reach them: plain C, no CUDA header. A library that is built
 * without CUDA has none of these functions: there they are weak and never called, since no tensor
 * lies on a CUDA device. Operands lie on one device; weak scalars may lie on the CPU. */
#ifndef WGI_CUDA_CUDA_H
#define WGI_CUDA_CUDA_H
#include "cpu/elementwise.h"
#include "cpu/gemm.h"
#include "cpu/loss_kind.h"
#include "cpu/update.h"
#include "tensor/internal.h"
#include "wengert/op.h"

#ifdef WGI_HAVE_CUDA
#define WGI_CUDA_FUNCTION
#else
#define WGI_CUDA_FUNCTION __attribute__((weak))
#endif

/* ---- elementwise: elementwise.c ---- */
/* Output 0 = formula(inputs), computed in `compute` (f64, f32, i64). p may be NULL. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_formula(const wg_run *r, wgi_formula f, wg_dtype compute,
                                             const wgi_numbers *p);
/* Comparisons: computed in the promoted type, to bool; the operands exchanged for gt and ge. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_compare(const wg_run *r, wgi_formula f, wg_dtype compute,
                                             bool exchanged);
WGI_CUDA_FUNCTION wg_status wgi_cuda_where(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_masked_fill(const wg_run *r, double value);
WGI_CUDA_FUNCTION wg_status wgi_cuda_isfinite(const wg_run *r);
typedef enum { WGI_LOGICAL_NOT, WGI_LOGICAL_AND, WGI_LOGICAL_OR, WGI_LOGICAL_XOR } wgi_logical;
WGI_CUDA_FUNCTION wg_status wgi_cuda_logical(const wg_run *r, wgi_logical f);
/* Output 0 = input 0 in its dtype. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_cast(const wg_run *r);

/* ---- copies: copy.c ---- */
/* As wgi_copy_strided, of device memory, in the stream of the running kernel. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_copy_strided(const wg_run *r, void *dst, wg_dtype dst_type,
                                                  const int64_t *dst_strides, const void *src,
                                                  wg_dtype src_type, const int64_t *src_strides,
                                                  int ndim, const int64_t *shape);
/* Elements of dst become value. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_fill_strided(const wg_run *r, void *dst, wg_dtype type,
                                                  const int64_t *strides, int ndim,
                                                  const int64_t *shape, double value);

/* ---- passes of their own: pointwise.c ---- */
/* f64: computed in f64, else in f32. random: Philox key and counter. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_dropout(const wg_run *r, double p, const uint64_t random[2]);
WGI_CUDA_FUNCTION wg_status wgi_cuda_swiglu(const wg_run *r, bool f64);
WGI_CUDA_FUNCTION wg_status wgi_cuda_swiglu_backward(const wg_run *r, bool f64);
WGI_CUDA_FUNCTION wg_status wgi_cuda_loss(const wg_run *r, wgi_loss_kind kind, double delta,
                                          wg_reduction reduction, bool f64);
WGI_CUDA_FUNCTION wg_status wgi_cuda_loss_backward(const wg_run *r, wgi_loss_kind kind,
                                                   double delta, wg_reduction reduction,
                                                   bool of_target, bool f64);
WGI_CUDA_FUNCTION wg_status wgi_cuda_clip_scale(const wg_run *r, double max_norm);

/* ---- optimizers: update.c ---- */
/* Operands and attribute as src/ops/update.h has them. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_update(const wg_run *r, const wg_op *op, wgi_rule_kind kind);
WGI_CUDA_FUNCTION wg_status wgi_cuda_grad_norm(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_clip_factor(const wg_run *r, double max_norm, bool scaled);
WGI_CUDA_FUNCTION wg_status wgi_cuda_loss_scale(const wg_run *r, const wgi_loss_scale_rule *rule);

/* ---- made from their number: make.c ---- */
WGI_CUDA_FUNCTION wg_status wgi_cuda_full(const wg_run *r, double value);
WGI_CUDA_FUNCTION wg_status wgi_cuda_arange(const wg_run *r, int64_t low);
WGI_CUDA_FUNCTION wg_status wgi_cuda_arange_step(const wg_run *r, double start, double step);
WGI_CUDA_FUNCTION wg_status wgi_cuda_linspace(const wg_run *r, double start, double stop);
WGI_CUDA_FUNCTION wg_status wgi_cuda_eye(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_one_hot(const wg_run *r, int64_t classes);
WGI_CUDA_FUNCTION wg_status wgi_cuda_triangle(const wg_run *r, int64_t diagonal, bool lower);
WGI_CUDA_FUNCTION wg_status wgi_cuda_rand(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_randn(const wg_run *r);
/* range: high - low; wide: two words a value. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_randint(const wg_run *r, int64_t low, uint64_t range,
                                             bool wide);
WGI_CUDA_FUNCTION wg_status wgi_cuda_bernoulli(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_multinomial(const wg_run *r, int64_t draws);
/* Windows of `size`, `step` apart, added back along axis. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_windows(const wg_run *r, int axis, int64_t size, int64_t step);

/* ---- reductions, with the attributes of src/cpu/reduce.h: reduce.c ---- */
WGI_CUDA_FUNCTION wg_status wgi_cuda_sum(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_sum_to(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_mean(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_max(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_min(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_prod(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_any(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_all(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_norm(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_var(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_std(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_logsumexp(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_argmax(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_argmin(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_cumsum(const wg_run *r);

/* ---- sorting and indices, with the attributes of src/cpu/scan.h and index.h: sort.c, index.c ---- */
WGI_CUDA_FUNCTION wg_status wgi_cuda_sort(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_topk(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_embedding(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_embedding_backward(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_index_select(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_index_select_backward(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_index_add(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_gather(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_gather_backward(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_scatter_add(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_index_get(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_index_get_backward(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_index_put(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_index_last(const wg_run *r);
WGI_CUDA_FUNCTION wg_status wgi_cuda_nonzero(const wg_run *r);

/* dst = src (or dst += src), converted; any strides: copy.c */
WGI_CUDA_FUNCTION wg_status wgi_cuda_add_strided(const wg_run *r, void *dst, wg_dtype dst_type,
                                                 const int64_t *dst_strides, const void *src,
                                                 wg_dtype src_type, const int64_t *src_strides,
                                                 int ndim, const int64_t *shape, bool add);
/* ---- products, as wgi_gemm: product.c ---- */
WGI_CUDA_FUNCTION wg_status wgi_cuda_gemm(const wg_run *r, const wgi_gemm_args *g);
/* The same with `added` (of C's shape) added, in place of what C holds: before the one rounding by most of cuBLASLt's
 * algorithms. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_gemm_added(const wg_run *r, const wgi_gemm_args *g,
                                                const wg_tensor *added);
/* The same, C being h, and y (r's output 0) = act(h); h may be y: product_act.c */
WGI_CUDA_FUNCTION wg_status wgi_cuda_gemm_act(const wg_run *r, const wgi_gemm_args *g,
                                              wg_activation act, const wg_tensor *h);
/* C being dh (r's output 0): dh = C act'(h), h of C's shape and any dtype. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_gemm_act_backward(const wg_run *r, const wgi_gemm_args *g,
                                                       wg_activation act, wg_tensor *h);
/* The same, A being a cotangent transposed, and dbias (m; any floating dtype) = the sums of A's rows, or += with
 * r->accumulate. *summed: the product's epilogue did it; else dbias is as it was. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_gemm_bgrad(const wg_run *r, const wgi_gemm_args *g,
                                                const wg_tensor *dbias, bool *summed);

/* ---- weights in blocks: blocks.c, blocks_product.c ---- */
/* Rows i of w in blocks (V, C), as embedding: output 0 is f32. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_embedding_blocks(const wg_run *r);
/* A cast from blocks, to blocks, or both. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_cast_blocks(const wg_run *r);
/* As wgi_quant_product and wgi_quant_product_back (src/cpu/quant_linear.h). The activations stay
 * floats: up to 8 rows of f32 or 16 bits meet the dequantised weights in f32; more rows of 16 bits
 * meet weights rounded to their dtype, of f32 and f64 in these; sums are f32, f64 for f64. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_blocks_product(const wg_run *r, const wgi_gemm_args *g);
WGI_CUDA_FUNCTION wg_status wgi_cuda_blocks_product_back(const wg_run *r, const wgi_gemm_args *g);

/* ---- by rows: rows.c, classes.c ---- */
WGI_CUDA_FUNCTION wg_status wgi_cuda_softmax(const wg_run *r, int axis, bool log);
WGI_CUDA_FUNCTION wg_status wgi_cuda_softmax_backward(const wg_run *r, int axis, bool log);
WGI_CUDA_FUNCTION wg_status wgi_cuda_row_norm(const wg_run *r, double eps, bool centered);
/* x, r, weight?[, bias?] -> y, x + r[, mean], rstd. */
WGI_CUDA_FUNCTION wg_status wgi_cuda_add_row_norm(const wg_run *r, double eps, bool centered);
WGI_CUDA_FUNCTION wg_status wgi_cuda_row_norm_backward(const wg_run *r, bool centered);
WGI_CUDA_FUNCTION wg_status wgi_cuda_group_norm(const wg_run *r, double eps, int64_t groups);
WGI_CUDA_FUNCTION wg_status wgi_cuda_group_norm_backward(const wg_run *r, int64_t groups);
WGI_CUDA_FUNCTION wg_status wgi_cuda_rope(const wg_run *r, int64_t offset, double base,
                                          bool adjacent, bool inverse);
typedef struct {
    int64_t ignore;
    double smoothing;
    wg_reduction reduction;
    bool nll; /* else cross-entropy */
} wgi_cuda_class_loss;
WGI_CUDA_FUNCTION wg_status wgi_cuda_class_loss_forward(const wg_run *r,
                                                        const wgi_cuda_class_loss *a);
WGI_CUDA_FUNCTION wg_status wgi_cuda_class_loss_backward(const wg_run *r,
                                                         const wgi_cuda_class_loss *a);

/* The logits are x w^T + bias (may be NULL), `chunk` rows at a time (0: by bytes): linear_loss.c */
WGI_CUDA_FUNCTION wg_status wgi_cuda_linear_loss(const wg_run *r, const wgi_cuda_class_loss *a,
                                                 int64_t chunk, const wg_tensor *bias);
WGI_CUDA_FUNCTION wg_status wgi_cuda_linear_loss_backward(const wg_run *r,
                                                          const wgi_cuda_class_loss *a,
                                                          int64_t chunk, const wg_tensor *bias);
#endif
