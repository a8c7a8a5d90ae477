/* Products on CUDA. A row-major matrix is its column-major transpose: C = A B is asked of cuBLASLt as
 * C^T = B^T A^T. */
#include "cuda/product.h"

#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"
#include "cuda/product_lt.h"

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

bool wgi_product_tf32(void)
{
    static atomic_int known = -1;
    return wgi_flag_once(&known, "WG_CUDA_TF32");
}

/* x begins at entry `at` of its batch axis d. */
static void move_along(wgi_matrix *x, int d, int64_t at)
{
    x->data = (char *)x->data + at * x->batch[d] * (int64_t)wgi_dtype_bytes[x->type];
}

/* Of the batch axes but the innermost, entry o: one product, or a batch along one axis. */
static wgi_gemm_args entry_of(const wgi_gemm_args *g, int64_t o)
{
    const int inner = g->batch_dims - 1;
    wgi_gemm_args e = *g;
    if (inner < 1) return e;
    for (int i = inner - 1; i >= 0; i--) {
        const int64_t at = o % g->batch_shape[i];
        o /= g->batch_shape[i];
        move_along(&e.a, i, at);
        move_along(&e.b, i, at);
        move_along(&e.c, i, at);
    }
    e.batch_dims = 1;
    e.batch_shape[0] = g->batch_shape[inner];
    e.a.batch[0] = g->a.batch[inner];
    e.b.batch[0] = g->b.batch[inner];
    e.c.batch[0] = g->c.batch[inner];
    return e;
}

/* C is row-major, A and B usable, all of types that cuBLASLt takes together: the innermost batch axis by cuBLASLt, the
 * others one after the other. What is declined goes to the kernel: all at once if it is the first entry, else that entry
 * alone, as those before it have been written, or added to. */
static wg_status multiply(const wg_run *r, const wgi_gemm_args *g)
{
    wgi_cuda_device *d = wgi_cuda_running(r);
    wgi_cuda_product *c = wgi_product_open(d);
    const int compute = g->a.type == WG_F64 ? WG_F64 : WG_F32;
    if (!c) return wg_error_code();
    wgi_product_problem p;
    wgi_product_problem_of(&p, g, wgi_product_tf32());
    int64_t outer = 1;
    for (int i = 0; i < g->batch_dims - 1; i++) outer *= g->batch_shape[i];
    wg_status s = WG_OK;
    for (int64_t o = 0; o < outer && s == WG_OK; o++) {
        const wgi_gemm_args e = entry_of(g, o);
        const wgi_product_values v = { .a = e.b.data, /* exchanged */
                                       .b = e.a.data,
                                       .c = e.c.data,
                                       .bias = (void *)(uintptr_t)e.bias,
                                       .alpha = e.alpha,
                                       .beta = e.beta };
        bool declined = false;
        p.alignment = wgi_product_alignment((const void *[]) { v.a, v.b, v.c, v.bias }, 4);
        s = wgi_product_multiply(d, c, &p, &v, &declined);
        if (s == WG_OK && declined && o == 0) return plain(r, g, compute);
        if (s == WG_OK && declined) s = plain(r, &e, compute);
    }
    return s;
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
    const bool own_bias =
        g.bias && (type == WG_F64 || g.bias_type != g.c.type || g.bias_stride != 1 ||
                   g.batch_dims > 0 || !wgi_product_takes_bias(g.bias));
    if (s == WG_OK && own_bias) s = bias_first(r, &g);
    if (s == WG_OK) s = multiply(r, &g);
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
