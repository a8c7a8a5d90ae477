/* What a product by cuBLASLt is, without its headers: the key of an algorithm, and which epilogue takes what follows the
 * product. Plain, and tested without a device. */
#ifndef WGI_CUDA_PRODUCT_KEY_H
#define WGI_CUDA_PRODUCT_KEY_H
#include "cuda/product.h"
#include "wengert/base.h"

/* cuBLASLt's numbers (product_lt.c holds them against its header). */
enum {
    WGI_EPILOGUE_NONE = 0, /* the default is not even set */
    WGI_EPILOGUE_RELU = 2,
    WGI_EPILOGUE_BIAS = 4,
    WGI_EPILOGUE_BGRAD = 16,
    WGI_EPILOGUE_GELU = 32, /* the form by tanh */
    WGI_EPILOGUE_AUX = 128, /* GELU: its argument is written, too */
    WGI_EPILOGUE_DGELU = 64 | 128,
    WGI_EPILOGUE_BGRADB = 512
};
/* The epilogue reads or writes aux; a bias vector. */
static inline bool wgi_epilogue_has_aux(int e)
{
    return (e & WGI_EPILOGUE_AUX) != 0;
}
static inline bool wgi_epilogue_has_bias(int e)
{
    return (e & (WGI_EPILOGUE_BIAS | WGI_EPILOGUE_BGRAD | WGI_EPILOGUE_BGRADB)) != 0;
}

/* Everything that the choice of an algorithm depends on, in cuBLAS's sense: D (m, n), column-major, = op(a) op(b). Compared
 * as bytes: begin with wgi_product_problem_of, which clears what lies between the members. */
typedef struct {
    int64_t m, n, k, batch, lda, ldb, ldc, ld_aux, stride_a, stride_b, stride_c;
    int type, type_c, compute, trans_a, trans_b, epilogue, beta, alignment;
} wgi_product_problem;

/* C = A B by rows as C^T = B^T A^T by columns: one product, or a batch along the innermost axis. A, B and C's layouts are
 * usable. Epilogue: the bias, if there is one; alignment still to be set. */
void wgi_product_problem_of(wgi_product_problem *p, const wgi_gemm_args *g, bool tf32);
/* A bias vector lies where an epilogue may read or write it: at a multiple of 16 bytes. cuBLASLt's kernels load it so even
 * where the heuristic was told of a smaller alignment (pytorch/pytorch pull request 194497; Marian asks for the same,
 * REQUIRED_BIAS_ALIGNMENT). NULL is fine. */
static inline bool wgi_product_takes_bias(const void *bias)
{
    return (uintptr_t)bias % 16 == 0;
}
/* The largest power of two, up to 256, that divides all of n addresses (NULL: any). */
int wgi_product_alignment(const void *const *address, int n);
uint64_t wgi_product_hash(const wgi_product_problem *p);
bool wgi_product_same(const wgi_product_problem *a, const wgi_product_problem *b);

/* What is known of so many problems at most. */
enum { WGI_PRODUCT_SLOTS = 1024 };
typedef struct {
    wgi_product_problem key[WGI_PRODUCT_SLOTS];
    bool used[WGI_PRODUCT_SLOTS];
} wgi_product_keys;
/* The problem's slot: its own (*known), or one for it: a free one, or another's where its neighbourhood is crowded. */
int wgi_product_slot(const wgi_product_keys *k, const wgi_product_problem *p, bool *known);
void wgi_product_keep(wgi_product_keys *k, int slot, const wgi_product_problem *p);

/* One product of two operands of one type, written in it, that needs no packing, and whose bias (if any) lies as cuBLASLt
 * takes it. */
bool wgi_product_is_direct(const wgi_gemm_args *g);

/* An activation behind a product, or its gradient: h = the product + bias, y = act(h), or dh = product act'(h). */
typedef struct {
    wg_activation act;
    bool backward, keeps_h; /* forward: h is wanted, too */
    int major;              /* the device's compute capability */
    bool off;               /* WG_CUDA_NO_EPILOGUES */
} wgi_epilogue_wish;
/* The epilogue that does it in this product, whose C is h (backward: dh): WGI_EPILOGUE_NONE: a kernel of its own. h: where
 * h lies, NULL if it is not kept. */
int wgi_epilogue_of(const wgi_epilogue_wish *w, const wgi_gemm_args *g, const void *h);
/* The product is a weight's gradient in f32 from 16-bit operands, A the cotangent transposed, and cuBLASLt may sum A's rows
 * on the way: WGI_EPILOGUE_BGRADB, or WGI_EPILOGUE_NONE. */
int wgi_epilogue_of_bias(const wgi_gemm_args *g, bool off);
#endif
