/* The own product kernel, per instruction-set level: one tile on the calling thread. */
#ifndef WGI_CPU_GEMM_KERNEL_H
#define WGI_CPU_GEMM_KERNEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/level.h"

/* n contiguous elements to the kernel's type. */
typedef void (*wgi_gemm_convert)(void *to, const void *from, int64_t n);

/* C = alpha A B (+ C if add, else + bias for every row). A (m, k), B (k, n) of any strides, C (m, n) with columns side by
 * side; strides in elements. */
typedef struct {
    int64_t m, n, k;
    /* Of the C that this is a tile of: few are multiplied in another order of sums, in all its tiles. */
    int64_t all_rows;
    const void *a, *b;
    void *c;
    int64_t a_row, a_column, b_row, b_column, c_row;
    wgi_gemm_convert a_convert, b_convert; /* NULL: already of the kernel's type */
    int64_t a_size, b_size;                /* bytes of an element */
    const void *bias;                      /* (n) elements of C's type; NULL: none */
    double alpha;
    bool add;
    bool stream; /* C is too large to be found in a cache again: stored past them where it can be */
    bool fetches_a; /* what of A is read next is fetched while it computes, as B is */
    bool zen5;      /* A is packed less, and rows go from both ends of the tile to its middle */
    void *scratch;  /* of wgi_gemm_kernel.scratch() bytes, 64-byte aligned */
} wgi_gemm_block;

typedef struct {
    void (*run)(const wgi_gemm_block *g);
    size_t (*scratch)(const wgi_gemm_block *g);
    int rows; /* of C at once */
} wgi_gemm_kernel;

/* Rows of A so many bytes apart, read `rows` at a time, share so few sets of L1 (8 lines each; a way is 4,096 bytes) that
 * they push each other and B's panel out: 14 rows need four places (2,048 bytes apart the product was 40% slower; not
 * packing A where it is not needed gained 2 to 4%), 6 rows two. */
static inline bool wgi_gemm_rows_collide(int64_t bytes, int rows)
{
    return bytes % (rows > 8 ? 2048 : 4096) == 0;
}

/* Columns of A so many bytes apart, of which some hundred are read in turn, share as few sets of L2 (16 lines each; a way is
 * 65,536 bytes). */
static inline bool wgi_gemm_columns_collide(int64_t bytes)
{
    return bytes % 8192 == 0;
}

/* Block q of a tile's n blocks of rows, from both ends inwards, two by two. On Zen 5 what fetches ahead by itself follows rows
 * of C some 300 KiB past the tile's last, where other cores have theirs: they, and who is given what lies behind C, wrote up
 * to twice as long. */
static inline int64_t wgi_gemm_inwards(int64_t q, int64_t n)
{
    const int64_t k = q / 4 * 2 + q % 2;
    return q / 2 % 2 ? n - 1 - k : k;
}

typedef struct {
    wgi_gemm_kernel f32, f64;
} wgi_gemm_kernels;
WGI_DECLARE_LEVELS(wgi_gemm_kernels, wgi_gemm_kernels);

/* A and B of bf16, each with a stride of 1, C of f32, k at least 1; nothing is converted: only where wgi_cpu_bf16(). */
extern const wgi_gemm_kernel wgi_gemm_bf16;
/* The same, only where wgi_cpu_amx(). */
extern const wgi_gemm_kernel wgi_gemm_amx;
#endif
