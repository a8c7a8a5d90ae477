/* BLIS behind two functions: one-thread products. Nothing else includes BLIS's header. */
#ifndef WGI_CPU_BLIS_H
#define WGI_CPU_BLIS_H
#include <stdint.h>

#include "cpu/level.h"

/* C = alpha A B + beta C, A (m, k), B (k, n), C (m, n), m, n, k >= 1, on the calling thread. Of
 * each matrix one stride is 1 and the other at least the size of that axis (BLIS aborts the process
 * on strides of 0 and overlapping ones). */
void wgi_blis_f32(int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t a_row,
                  int64_t a_column, const float *b, int64_t b_row, int64_t b_column, float beta,
                  float *c, int64_t c_row, int64_t c_column);
void wgi_blis_f64(int64_t m, int64_t n, int64_t k, double alpha, const double *a, int64_t a_row,
                  int64_t a_column, const double *b, int64_t b_row, int64_t b_column, double beta,
                  double *c, int64_t c_row, int64_t c_column);

/* The kernels that BLIS runs, by its own name: "skx", "haswell", "zen3", ..., "generic". Starts
 * BLIS. */
const char *wgi_blis_kernels(void);

/* The number to give BLIS as its architecture on such a CPU; -1: it finds a good one by itself. */
int wgi_blis_choice(const char *vendor, unsigned family, wgi_level level);
/* For tests, before the first product: start BLIS as on a CPU of this vendor and family. */
void wgi_blis_pretend(const char *vendor, unsigned family);
#endif
