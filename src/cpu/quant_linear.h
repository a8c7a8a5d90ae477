/* Products with weights in blocks: rows of w are dequantised in tiles, or, for few rows of
 * activations in f32 or 16 bits, met where they lie. */
#ifndef WGI_CPU_QUANT_LINEAR_H
#define WGI_CPU_QUANT_LINEAR_H
#include "cpu/gemm.h"

/* Up to so many rows of activations w is read as it lies, row by row, and beyond in tiles of f32:
 * for q4_0, q8_0 and q4_k to q6_k with the activations in 8 bits; for the other types each row of w
 * by way of f32.
 * GFLOP/s on one core of an AMD Milan, w (2048, 2048), sgemm 66 at 32 rows, 84 at 128:
 *   rows            1    2    4    8   16   32  128
 *   q4_0 few       52   91  108  111  109  106
 *        tiles     10   19   29   35   52   63   77
 *   q8_0 few       42   64   72   74   73   72
 *   q4_k few       45   47   80   80   78   79
 *   q6_k few       36   36   58   59   59   57
 *   q5_1 few        8   14   21   27   30   33
 *        tiles      7   12   22   29   46   59   77
 * Integers would win beyond 32 rows still; from there on the tiles are near enough to sgemm, and
 * exact. */
enum { WGI_QUANT_FEW_ROWS = 32, WGI_QUANT_FEW_ROWS_F32 = 4 };

/* g as for wgi_gemm, but that B is in blocks, alpha 1, and B the same for the whole batch. The bits
 * do not depend on the number of threads. WG_EMEM (raised).
 * C = A w^T + bias + beta C: w (n, k), g->b.column elements from row to row. */
wg_status wgi_quant_product(const wgi_gemm_args *g);
/* C = A w + beta C: w (k, n), g->b.row elements from row to row. No bias. */
wg_status wgi_quant_product_back(const wgi_gemm_args *g);
#endif
