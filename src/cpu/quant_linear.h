/* Products with weights in blocks: rows of w are dequantised in tiles, or, for few rows of
 * activations in f32 or 16 bits, met where they lie. */
#ifndef WGI_CPU_QUANT_LINEAR_H
#define WGI_CPU_QUANT_LINEAR_H
#include "cpu/gemm.h"

/* Up to so many rows of activations, w is read once as it is and not as f32: see quant_linear.c. */
enum { WGI_QUANT_FEW_ROWS = 12 };

/* g as for wgi_gemm, but that B is in blocks, alpha 1, and B the same for the whole batch. The bits do
 * not depend on the number of threads. WG_EMEM (raised).
 * C = A w^T + bias + beta C: w (n, k), g->b.column elements from row to row. */
wg_status wgi_quant_product(const wgi_gemm_args *g);
/* C = A w + beta C: w (k, n), g->b.row elements from row to row. No bias. */
wg_status wgi_quant_product_back(const wgi_gemm_args *g);
#endif
