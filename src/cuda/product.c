/* Products on CUDA by cuBLASLt. A row-major matrix is its column-major transpose: C = A B is asked
 * for as C^T = B^T A^T. Algorithms are the heuristic's first, kept by everything that it looked at;
 * never chosen by timing, so that the same seed gives the same bits. */
#include "cuda/product.h"

#include <pthread.h>
#include <stdlib.h>

#include "cpu/rows.h"
#include "cuda/blaslt.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"

enum { WORKSPACE = 32 << 20, ALGORITHMS = 1024 };

/* Everything that the choice of an algorithm depends on; compared as bytes. */
typedef struct {
    int64_t m, n, k, batch, lda, ldb, ldc, stride_a, stride_b, stride_c;
    int type, type_c, compute, trans_a, trans_b, epilogue, beta, alignment;
} problem;

typedef struct {
    problem key;
    cublasLtMatmulAlgo_t algorithm;
    bool used;
} choice;

struct wgi_cuda_product {
    pthread_mutex_t lock;
    const wgi_blaslt *lt;
    cublasLtHandle_t handle;
    void *workspace;
    choice choices[ALGORITHMS];
};

static wg_status check(cublasStatus_t s, const char *what)
{
    return s == CUBLAS_STATUS_SUCCESS ? WG_OK
                                      : wg_raise(WG_EDEVICE, "%s: %s", what, wgi_blaslt_text(s));
}

/* The device's handle and workspace, made at the first product. */
static wgi_cuda_product *product_of(wgi_cuda_device *d)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&making);
    const wgi_blaslt *lt = d->product ? d->product->lt : wgi_blaslt_load();
    if (!d->product && lt) {
        wgi_cuda_product *p = calloc(1, sizeof *p);
        if (!p) {
            wg_raise(WG_EMEM, "out of memory for products on cuda:%d", d->index);
        } else {
            p->lt = lt;
            pthread_mutex_init(&p->lock, NULL);
            p->workspace = wgi_cuda_alloc(d->index, WORKSPACE);
            if (p->workspace && check(lt->create(&p->handle), "cublasLtCreate") == WG_OK)
                d->product = p;
            else
                free(p);
        }
    }
    wgi_cuda_product *p = d->product;
    pthread_mutex_unlock(&making);
    return p;
}

/* ---- descriptors ---- */

typedef struct {
    const wgi_blaslt *lt;
    cublasLtMatmulDesc_t what;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t preference;
} descriptors;

static cudaDataType_t data_type(int t)
{
    return t == WG_F64    ? CUDA_R_64F
           : t == WG_F32  ? CUDA_R_32F
           : t == WG_BF16 ? CUDA_R_16BF
                          : CUDA_R_16F;
}

static cublasComputeType_t compute_type(const problem *p)
{
    return p->type == WG_F64                 ? CUBLAS_COMPUTE_64F
           : p->compute && p->type == WG_F32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                             : CUBLAS_COMPUTE_32F;
}

static cublasStatus_t layout(const wgi_blaslt *lt, cublasLtMatrixLayout_t *l, int type,
                             int64_t rows, int64_t columns, int64_t ld, const problem *p,
                             int64_t stride)
{
    const int32_t batch = (int32_t)p->batch;
    cublasStatus_t s = lt->layout_create(l, data_type(type), (uint64_t)rows, (uint64_t)columns, ld);
    if (s == CUBLAS_STATUS_SUCCESS && batch > 1)
        s = lt->layout_set(*l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
    if (s == CUBLAS_STATUS_SUCCESS && batch > 1)
        s = lt->layout_set(*l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride);
    return s;
}

/* a, b in cuBLAS's sense: D (m, n) column-major = op(a) op(b). */
static cublasStatus_t describe(descriptors *d, const problem *p, const void *bias)
{
    const wgi_blaslt *lt = d->lt;
    const cublasOperation_t ta = p->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                            tb = p->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasStatus_t s =
        lt->desc_create(&d->what, compute_type(p), p->type == WG_F64 ? CUDA_R_64F : CUDA_R_32F);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
    if (s == CUBLAS_STATUS_SUCCESS && p->epilogue) {
        const cublasLtEpilogue_t e = (cublasLtEpilogue_t)p->epilogue;
        s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_EPILOGUE, &e, sizeof e);
        if (s == CUBLAS_STATUS_SUCCESS)
            s = lt->desc_set(d->what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    }
    if (s == CUBLAS_STATUS_SUCCESS)
        s = layout(lt, &d->a, p->type, p->trans_a ? p->k : p->m, p->trans_a ? p->m : p->k, p->lda,
                   p, p->stride_a);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = layout(lt, &d->b, p->type, p->trans_b ? p->n : p->k, p->trans_b ? p->k : p->n, p->ldb,
                   p, p->stride_b);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = layout(lt, &d->c, p->type_c, p->m, p->n, p->ldc, p, p->stride_c);
    return s;
}

static void forget(descriptors *d)
{
    if (d->preference) d->lt->preference_destroy(d->preference);
    if (d->a) d->lt->layout_destroy(d->a);
    if (d->b) d->lt->layout_destroy(d->b);
    if (d->c) d->lt->layout_destroy(d->c);
    if (d->what) d->lt->desc_destroy(d->what);
}

/* What the heuristic may count on: it would assume 256 bytes. Sums of pieces of k are added in f32,
 * not in a 16-bit output. */
static cublasStatus_t prefer(descriptors *d, const problem *p)
{
    static const cublasLtMatmulPreferenceAttributes_t places[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
    };
    const uint64_t space = WORKSPACE;
    const uint32_t alignment = (uint32_t)p->alignment,
                   schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    cublasStatus_t s = d->lt->preference_create(&d->preference);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = d->lt->preference_set(d->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &space,
                                  sizeof space);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = d->lt->preference_set(d->preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                  &schemes, sizeof schemes);
    for (int i = 0; i < 4 && s == CUBLAS_STATUS_SUCCESS; i++)
        s = d->lt->preference_set(d->preference, places[i], &alignment, sizeof alignment);
    return s;
}

/* ---- the algorithm, kept by the problem ---- */

static uint64_t hash(const problem *p)
{
    const unsigned char *b = (const unsigned char *)p;
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < sizeof *p; i++) h = (h ^ b[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* The problem's place in the table: its own, or a free one; another's when the table is crowded. */
static choice *choice_of(wgi_cuda_product *c, const problem *p)
{
    const uint64_t h = hash(p);
    for (uint64_t i = 0; i < 8; i++) {
        choice *at = &c->choices[(h + i) % ALGORITHMS];
        if (!at->used || memcmp(&at->key, p, sizeof *p) == 0) return at;
    }
    return &c->choices[h % ALGORITHMS];
}

/* CUBLAS_STATUS_NOT_SUPPORTED: cuBLASLt has none. */
static cublasStatus_t choose(wgi_cuda_product *c, descriptors *d, const problem *p,
                             cublasLtMatmulAlgo_t *out)
{
    pthread_mutex_lock(&c->lock);
    choice *at = choice_of(c, p);
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    if (!at->used || memcmp(&at->key, p, sizeof *p) != 0) {
        cublasLtMatmulHeuristicResult_t found;
        int n = 0;
        s = prefer(d, p);
        if (s == CUBLAS_STATUS_SUCCESS)
            s = c->lt->heuristic(c->handle, d->what, d->a, d->b, d->c, d->c, d->preference, 1,
                                 &found, &n);
        if (s == CUBLAS_STATUS_SUCCESS) s = n > 0 ? found.state : CUBLAS_STATUS_NOT_SUPPORTED;
        if (s == CUBLAS_STATUS_SUCCESS) {
            at->key = *p;
            at->algorithm = found.algo;
            at->used = true;
        }
    }
    if (s == CUBLAS_STATUS_SUCCESS) *out = at->algorithm;
    pthread_mutex_unlock(&c->lock);
    return s;
}

/* ---- one product, or a batch of them with one stride ---- */

/* The largest power of two, up to 256, that divides all of them. */
static int alignment_of(const void *a, const void *b, const void *c, const void *bias)
{
    const uintptr_t all = (uintptr_t)a | (uintptr_t)b | (uintptr_t)c | (uintptr_t)bias | 256;
    return (int)(all & -all);
}

typedef struct {
    const void *a, *b, *bias; /* in cuBLAS's sense */
    void *c;
    double alpha, beta;
} values;

/* *declined: cuBLASLt cannot do it. */
static wg_status multiply(wgi_cuda_device *d, wgi_cuda_product *c, const problem *p,
                          const values *v, bool *declined)
{
    descriptors e = { .lt = c->lt };
    cublasLtMatmulAlgo_t algorithm;
    const float alpha32 = (float)v->alpha, beta32 = (float)v->beta;
    const void *alpha = p->type == WG_F64 ? (const void *)&v->alpha : &alpha32;
    const void *beta = p->type == WG_F64 ? (const void *)&v->beta : &beta32;
    cublasStatus_t s = describe(&e, p, v->bias);
    if (s == CUBLAS_STATUS_SUCCESS) s = choose(c, &e, p, &algorithm);
    *declined = s == CUBLAS_STATUS_NOT_SUPPORTED || s == CUBLAS_STATUS_INVALID_VALUE;
    if (s == CUBLAS_STATUS_SUCCESS)
        s = c->lt->matmul(c->handle, e.what, alpha, v->a, e.a, v->b, e.b, beta, v->c, e.c, v->c,
                          e.c, &algorithm, c->workspace, WORKSPACE, d->stream);
    forget(&e);
    return *declined ? WG_OK : check(s, "cublasLtMatmul");
}

/* ---- from wgi_gemm_args ---- */

static wg_status plain(const wg_run *r, const wgi_gemm_args *g, int compute)
{
    wgi_product_launch p = { .m = g->m,
                             .n = g->n,
                             .k = g->k,
                             .batch = 1,
                             .a = g->a,
                             .b = g->b,
                             .c = g->c,
                             .bias = g->bias,
                             .bias_type = (int)g->bias_type,
                             .bias_stride = g->bias_stride,
                             .batch_dims = g->batch_dims,
                             .alpha = g->alpha,
                             .beta = g->beta,
                             .compute = compute };
    for (int i = 0; i < g->batch_dims; i++) p.batch *= p.batch_shape[i] = g->batch_shape[i];
    wgi_launch_product(&p, r->stream);
    return WG_OK;
}

/* x (batch, rows, columns) as contiguous `as` in scratch. */
static wg_status pack(const wg_run *r, const wgi_gemm_args *g, wgi_matrix *x, int64_t rows,
                      int64_t columns, wg_dtype as)
{
    const int n = g->batch_dims;
    int64_t shape[WG_MAX_DIMS + 2], from[WG_MAX_DIMS + 2], to[WG_MAX_DIMS + 2], numel = 1;
    wgi_matrix packed = { .type = as, .row = columns, .column = 1 };
    if (n + 2 > WG_MAX_DIMS) return wg_raise(WG_ESHAPE, "more than %d axes", WG_MAX_DIMS);
    for (int i = 0; i < n; i++) {
        shape[i] = x->batch[i] ? g->batch_shape[i] : 1; /* what repeats is packed once */
        from[i] = x->batch[i];
    }
    shape[n] = rows;
    shape[n + 1] = columns;
    from[n] = x->row;
    from[n + 1] = x->column;
    for (int i = n + 1; i >= 0; i--) {
        to[i] = numel;
        numel *= shape[i];
    }
    for (int i = 0; i < n; i++) packed.batch[i] = x->batch[i] ? to[i] : 0;
    wg_status s = wgi_row_scratch(r, numel, as, &packed.data);
    if (s == WG_OK)
        s = wgi_cuda_copy_strided(r, packed.data, as, to, x->data, x->type, from, n + 2, shape);
    *x = packed;
    return s;
}

/* The type that both operands are given in. */
static wg_dtype operand_type(const wgi_gemm_args *g)
{
    if (g->a.type == WG_F64 || g->b.type == WG_F64 || g->c.type == WG_F64) return WG_F64;
    return g->a.type == g->b.type && wgi_is_16bit((int)g->a.type) &&
                   (g->c.type == g->a.type || g->c.type == WG_F32)
               ? g->a.type
               : WG_F32;
}

/* C and bias transposed: A and B change places. */
static void transpose(wgi_gemm_args *g)
{
    const wgi_matrix a = g->a, b = g->b;
    const int64_t m = g->m;
    g->a = b;
    g->a.row = b.column;
    g->a.column = b.row;
    g->b = a;
    g->b.row = a.column;
    g->b.column = a.row;
    g->m = g->n;
    g->n = m;
    const int64_t row = g->c.row;
    g->c.row = g->c.column;
    g->c.column = row;
}

/* C = bias in every row (then added to), or C += bias: where the product cannot add it itself. */
static wg_status bias_first(const wg_run *r, wgi_gemm_args *g)
{
    const int n = g->batch_dims;
    int64_t shape[WG_MAX_DIMS + 2], to[WG_MAX_DIMS + 2], from[WG_MAX_DIMS + 2];
    if (n + 2 > WG_MAX_DIMS) return wg_raise(WG_ESHAPE, "more than %d axes", WG_MAX_DIMS);
    for (int i = 0; i < n; i++) {
        shape[i] = g->batch_shape[i];
        to[i] = g->c.batch[i];
        from[i] = 0;
    }
    shape[n] = g->m;
    shape[n + 1] = g->n;
    to[n] = g->c.row;
    to[n + 1] = g->c.column;
    from[n] = 0;
    from[n + 1] = g->bias_stride;
    const wg_status s = wgi_cuda_add_strided(r, g->c.data, g->c.type, to, g->bias, g->bias_type,
                                             from, n + 2, shape, g->beta != 0);
    g->bias = NULL;
    g->beta = 1;
    return s;
}

static bool tf32(void)
{
    static atomic_int known = -1;
    int on = atomic_load_explicit(&known, memory_order_relaxed);
    if (on < 0) {
        on = wgi_flag("WG_CUDA_TF32");
        atomic_store_explicit(&known, on, memory_order_relaxed);
    }
    return on;
}

/* The innermost batch axis by cuBLASLt, the others one after the other. */
static wg_status run_batches(const wg_run *r, const wgi_gemm_args *g, const problem *shared,
                             bool *declined)
{
    wgi_cuda_device *d = wgi_cuda_running(r);
    wgi_cuda_product *c = product_of(d);
    if (!c) return wg_error_code();
    const int inner = g->batch_dims - 1;
    int64_t outer = 1;
    for (int i = 0; i < inner; i++) outer *= g->batch_shape[i];
    wg_status s = WG_OK;
    for (int64_t o = 0; o < outer && s == WG_OK && !*declined; o++) {
        int64_t rest = o, a = 0, b = 0, to = 0;
        for (int i = inner - 1; i >= 0; i--) {
            const int64_t at = rest % g->batch_shape[i];
            rest /= g->batch_shape[i];
            a += at * g->a.batch[i];
            b += at * g->b.batch[i];
            to += at * g->c.batch[i];
        }
        const int64_t size = (int64_t)wgi_dtype_bytes[g->a.type],
                      size_c = (int64_t)wgi_dtype_bytes[g->c.type];
        const values v = { .a = (const char *)g->b.data + b * size, /* exchanged */
                           .b = (const char *)g->a.data + a * size,
                           .c = (char *)g->c.data + to * size_c,
                           .bias = g->bias,
                           .alpha = g->alpha,
                           .beta = g->beta };
        problem p = *shared;
        p.alignment = alignment_of(v.a, v.b, v.c, v.bias);
        s = multiply(d, c, &p, &v, declined);
    }
    return s;
}

/* C is row-major, A and B usable, all of types that cuBLASLt takes together. */
static wg_status by_cublas(const wg_run *r, wgi_gemm_args *g, bool *declined)
{
    const wgi_product_layout a = wgi_product_layout_of(&g->a, g->m, g->k),
                             b = wgi_product_layout_of(&g->b, g->k, g->n),
                             c = wgi_product_layout_of(&g->c, g->m, g->n);
    const int inner = g->batch_dims - 1;
    problem p;
    memset(&p, 0, sizeof p); /* also what lies between its members */
    p.m = g->n;
    p.n = g->m;
    p.k = g->k;
    p.batch = inner >= 0 ? g->batch_shape[inner] : 1;
    p.lda = b.ld;
    p.trans_a = b.by_columns;
    p.ldb = a.ld;
    p.trans_b = a.by_columns;
    p.ldc = c.ld;
    if (inner >= 0) {
        p.stride_a = g->b.batch[inner];
        p.stride_b = g->a.batch[inner];
        p.stride_c = g->c.batch[inner];
    }
    p.type = (int)g->a.type;
    p.type_c = (int)g->c.type;
    p.compute = tf32();
    p.epilogue = g->bias ? CUBLASLT_EPILOGUE_BIAS : 0;
    p.beta = g->beta != 0;
    return run_batches(r, g, &p, declined);
}

/* Puts what cuBLASLt made apart into the place that it could not write. */
static wg_status put_back(const wg_run *r, const wgi_gemm_args *g, const wgi_matrix *from,
                          const wgi_matrix *to, bool add)
{
    const int n = g->batch_dims;
    int64_t shape[WG_MAX_DIMS], source[WG_MAX_DIMS], target[WG_MAX_DIMS];
    for (int i = 0; i < n; i++) {
        shape[i] = g->batch_shape[i];
        source[i] = from->batch[i];
        target[i] = to->batch[i];
    }
    shape[n] = g->m;
    shape[n + 1] = g->n;
    source[n] = from->row;
    source[n + 1] = from->column;
    target[n] = to->row;
    target[n + 1] = to->column;
    return wgi_cuda_add_strided(r, to->data, to->type, target, from->data, from->type, source,
                                n + 2, shape, add);
}

static wg_status floating(const wg_run *r, wgi_gemm_args g)
{
    const wg_dtype type = operand_type(&g);
    wgi_product_layout c = wgi_product_layout_of(&g.c, g.m, g.n);
    wg_status s = WG_OK;
    if (g.batch_dims + 2 > WG_MAX_DIMS) return plain(r, &g, type == WG_F64 ? WG_F64 : WG_F32);
    if (c.usable && c.by_columns && !g.bias) {
        transpose(&g);
        c = wgi_product_layout_of(&g.c, g.m, g.n);
    }
    const bool apart = !c.usable || c.by_columns ||
                       (g.c.type != type && !(g.c.type == WG_F32 && wgi_is_16bit((int)type)));
    const wgi_gemm_args whole = g;
    if (g.a.type != type || !wgi_product_layout_of(&g.a, g.m, g.k).usable)
        s = pack(r, &g, &g.a, g.m, g.k, type);
    if (s == WG_OK && (g.b.type != type || !wgi_product_layout_of(&g.b, g.k, g.n).usable))
        s = pack(r, &g, &g.b, g.k, g.n, type);
    if (s == WG_OK && apart) { /* in the type that is computed in, added to its place afterwards */
        wgi_matrix made = { .type = type == WG_F64 ? WG_F64 : WG_F32, .row = g.n, .column = 1 };
        int64_t numel = g.m * g.n;
        for (int i = g.batch_dims - 1; i >= 0; i--) {
            made.batch[i] = numel;
            numel *= g.batch_shape[i];
        }
        s = wgi_row_scratch(r, numel, made.type, &made.data);
        g.c = made;
        g.beta = 0;
    }
    const bool own_bias = g.bias && (type == WG_F64 || g.bias_type != g.c.type ||
                                     g.bias_stride != 1 || g.batch_dims > 0);
    if (s == WG_OK && own_bias) s = bias_first(r, &g);
    bool declined = false;
    if (s == WG_OK) s = by_cublas(r, &g, &declined);
    if (s == WG_OK && declined) s = plain(r, &g, type == WG_F64 ? WG_F64 : WG_F32);
    if (s == WG_OK && apart) s = put_back(r, &whole, &g.c, &whole.c, whole.beta != 0);
    return s;
}

wg_status wgi_cuda_gemm(const wg_run *r, const wgi_gemm_args *g)
{
    int64_t batch = 1;
    for (int i = 0; i < g->batch_dims; i++) batch *= g->batch_shape[i];
    if (g->m == 0 || g->n == 0 || batch == 0) return WG_OK;
    const bool real = wgi_is_float((int)g->a.type) || wgi_is_float((int)g->b.type) ||
                      wgi_is_float((int)g->c.type);
    if (!real) return plain(r, g, WG_I64);
    if (g->k == 0) return plain(r, g, g->c.type == WG_F64 ? WG_F64 : WG_F32);
    return floating(r, *g);
}
