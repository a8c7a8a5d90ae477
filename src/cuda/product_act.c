/* Products with an activation behind them, or with a sum of rows beside them: in cuBLASLt's epilogue where it offers one,
 * else by a kernel of its own on what the product left. Both give the op's result; the epilogue applies the activation
 * before the product is rounded. */
#include "cpu/rows.h"
#include "cuda/cuda.h"
#include "cuda/operands.h"
#include "cuda/product_lt.h"
#include "ops/activation.h"

static bool epilogues_off(void)
{
    static atomic_int known = -1;
    return wgi_flag_once(&known, "WG_CUDA_NO_EPILOGUES");
}

/* The product with this epilogue into v->c, the rest of v given. *done: false if cuBLASLt declined, and nothing is written. */
static wg_status multiply(const wg_run *r, const wgi_gemm_args *g, int epilogue,
                          wgi_product_values *v, bool *done)
{
    wgi_cuda_device *d = wgi_cuda_running(r);
    wgi_cuda_product *c = wgi_product_open(d);
    if (!c) return wg_error_code();
    wgi_product_problem p;
    wgi_product_problem_of(&p, g, wgi_product_tf32());
    v->a = g->b.data; /* exchanged */
    v->b = g->a.data;
    v->alpha = g->alpha;
    v->beta = g->beta;
    p.epilogue = epilogue;
    if (v->aux) p.ld_aux = p.ldc;
    p.alignment =
        wgi_product_alignment((const void *[]) { v->a, v->b, v->c, v->added, v->bias, v->aux }, 6);
    bool declined = false;
    const wg_status s = wgi_product_multiply(d, c, &p, v, &declined);
    *done = s == WG_OK && !declined;
    return s;
}

/* C of the product is `to`; h: aux, or NULL. *done: the epilogue did it all. */
static wg_status in_epilogue(const wg_run *r, const wgi_gemm_args *g, wgi_epilogue_wish w, void *to,
                             void *h, bool *done)
{
    *done = false;
    w.major = wgi_cuda_running(r)->major;
    w.off = epilogues_off();
    const int epilogue = wgi_epilogue_of(&w, g, h);
    if (epilogue == WGI_EPILOGUE_NONE) return WG_OK;
    wgi_product_values v = { .c = to,
                             .bias = (void *)(uintptr_t)g->bias,
                             .aux = wgi_epilogue_has_aux(epilogue) ? h : NULL };
    return multiply(r, g, epilogue, &v, done);
}

/* Output 0 = formula(in). */
static wg_status apply(const wg_run *r, wgi_formula f, wg_list in)
{
    wg_run q = *r;
    q.in = in;
    q.out.n = 1;
    return wgi_cuda_formula(&q, f, wgi_compute_dtype((wg_dtype)r->out.t[0]->dtype), NULL);
}

wg_status wgi_cuda_gemm_act(const wg_run *r, const wgi_gemm_args *g, wg_activation act,
                            const wg_tensor *h)
{
    wg_tensor *y = r->out.t[0], *from = (wg_tensor *)(uintptr_t)h;
    const wgi_epilogue_wish w = { .act = act, .keeps_h = h != y };
    const bool blocks = wgi_in_blocks(g->b.type);
    bool done = false;
    wg_status s = WG_OK;
    if (!blocks) s = in_epilogue(r, g, w, wgi_data(y), w.keeps_h ? g->c.data : NULL, &done);
    if (s != WG_OK || done) return s;
    s = blocks ? wgi_cuda_blocks_product(r, g) : wgi_cuda_gemm(r, g);
    return s == WG_OK ? apply(r, wgi_activation_formula(act), WG_LIST(from)) : s;
}

wg_status wgi_cuda_gemm_act_backward(const wg_run *r, const wgi_gemm_args *g, wg_activation act,
                                     wg_tensor *h)
{
    const wg_tensor *dh = r->out.t[0];
    const wgi_epilogue_wish w = { .act = act, .backward = true };
    bool done = false;
    wg_status s = WG_OK;
    if (h->dtype == dh->dtype && wgi_is_contiguous(h))
        s = in_epilogue(r, g, w, g->c.data, wgi_data(h), &done);
    if (s != WG_OK || done) return s;
    s = wgi_cuda_gemm(r, g);
    return s == WG_OK ? apply(r, wgi_activation_backward(act), WG_LIST(h, r->out.t[0])) : s;
}

wg_status wgi_cuda_gemm_added(const wg_run *r, const wgi_gemm_args *g, const wg_tensor *added)
{
    wg_tensor *y = r->out.t[0];
    wgi_gemm_args sum = *g;
    bool done = false;
    wg_status s = WG_OK;
    sum.beta = 1;
    const bool bias_fits = !g->bias || g->c.type != WG_F64;
    if (wgi_product_is_direct(g) && bias_fits && added->dtype == y->dtype &&
        wgi_is_contiguous(added)) {
        wgi_product_values v = { .c = g->c.data,
                                 .added = wgi_data(added),
                                 .bias = (void *)(uintptr_t)g->bias };
        s = multiply(r, &sum, g->bias ? WGI_EPILOGUE_BIAS : WGI_EPILOGUE_NONE, &v, &done);
    }
    if (s != WG_OK || done) return s;
    s = wgi_copy_elements(y, added);
    return s == WG_OK ? wgi_cuda_gemm(r, &sum) : s;
}

/* The sums come as a vector of f32 that is overwritten; then to their place. */
wg_status wgi_cuda_gemm_bgrad(const wg_run *r, const wgi_gemm_args *g, const wg_tensor *dbias,
                              bool *summed)
{
    const int epilogue = wgi_epilogue_of_bias(g, epilogues_off());
    const int64_t n = g->m, one = 1;
    const bool there = dbias->dtype == WG_F32 && dbias->strides[0] == 1 && !r->accumulate &&
                       wgi_product_takes_bias(wgi_data(dbias));
    wgi_product_values v = { .c = g->c.data, .bias = there ? wgi_data(dbias) : NULL };
    *summed = false;
    if (epilogue == WGI_EPILOGUE_NONE) return wgi_cuda_gemm(r, g);
    wg_status s = there ? WG_OK : wgi_row_scratch(r, n, WG_F32, &v.bias);
    if (s == WG_OK) s = multiply(r, g, epilogue, &v, summed);
    if (s != WG_OK) return s;
    if (!*summed) return wgi_cuda_gemm(r, g);
    if (there) return WG_OK;
    return wgi_cuda_add_strided(r, wgi_data(dbias), (wg_dtype)dbias->dtype, dbias->strides, v.bias,
                                WG_F32, &one, 1, &n, r->accumulate);
}
