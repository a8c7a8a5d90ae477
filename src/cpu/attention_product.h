/* Attention's products of tiles by instructions for bf16. */
#ifndef WGI_CPU_ATTENTION_PRODUCT_H
#define WGI_CPU_ATTENTION_PRODUCT_H
#include <stdbool.h>
#include <stdint.h>

/* c (m, n) = [c +] a (m, k) b (k, n), f32, k at least 1; one of a's strides ra, ca is 1, n a multiple of 16. b lies in panels
 * of 32 columns with rows ldb apart, `panel` elements from one panel to the next. a and b are rounded to bf16, to nearest, on
 * the way; their denormals, c's too, are taken as zero. */
typedef void wgi_tile_product(int64_t m, int64_t n, int64_t k, const float *a, int64_t ra,
                              int64_t ca, const float *b, int64_t ldb, int64_t panel, float *c,
                              int64_t ldc, bool add);
/* Only where wgi_cpu_bf16(). */
wgi_tile_product wgi_tile_product_bf16;
/* Only where wgi_cpu_amx(). */
wgi_tile_product wgi_tile_product_amx;
#endif
