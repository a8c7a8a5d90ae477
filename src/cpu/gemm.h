/* Matrix products, single or in batches: C = alpha A B + beta C (+ bias along rows). */
#ifndef WGI_CPU_GEMM_H
#define WGI_CPU_GEMM_H
#include <stdbool.h>
#include <stdint.h>

#include "wengert/base.h"

enum { WGI_GEMM_BATCH_DIMS = WG_MAX_DIMS };

/* A matrix of any strides (in elements; 0 and negative ones too, but C's elements must be
 * distinct). */
typedef struct {
    void *data;
    wg_dtype type;
    int64_t row, column;
    int64_t batch[WGI_GEMM_BATCH_DIMS]; /* stride along each batch axis */
} wgi_matrix;

/* A: (m, k), B: (k, n), C: (m, n), the same for every entry of the batch. All floating, or all
 * integer (bool is not). f64 if one of them is f64, else f32: 16-bit operands are converted piece
 * by piece, sums are f32, a 16-bit C is rounded once at the end. Integers are added in 64 bits and
 * wrap around. beta = 0 overwrites, whatever C held, NaN too; k = 0 gives beta C. */
typedef struct wgi_gemm_args wgi_gemm_args;
struct wgi_gemm_args {
    int64_t m, n, k;
    wgi_matrix a, b, c; /* a, b are only read */
    const void *bias;   /* (n) elements of C's dtype or bias_type, added to every row; NULL: none */
    wg_dtype bias_type;
    int64_t bias_stride;
    double alpha, beta;
    int batch_dims; /* 0: one product */
    int64_t batch_shape[WGI_GEMM_BATCH_DIMS];
    /* Called for every tile of C once it is complete, on the thread that made it and has it in its cache: rows x columns
     * elements from element `at` of C on. NULL: nothing. Floating products only. */
    void (*made)(void *self, const wgi_gemm_args *g, int64_t at, int64_t rows, int64_t columns);
    void *made_self;
};

/* The bits do not depend on the number of threads. WG_EMEM (raised) when there is no memory to work
 * in. */
wg_status wgi_gemm(const wgi_gemm_args *g);

/* The same for threads of a region of their own, where nothing can be raised: false when there is no memory. */
bool wgi_gemm_try(const wgi_gemm_args *g);

/* The tiles that `entries` products of (m, k) by (k, n) are cut into, for so many threads; a_in_place: A is read where
 * it lies, not packed. */
typedef struct {
    int64_t rows, columns;
} wgi_gemm_cut;
wgi_gemm_cut wgi_gemm_tile(int64_t m, int64_t n, int64_t k, int64_t entries, int64_t threads,
                           bool a_in_place);
#endif
