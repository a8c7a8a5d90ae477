/* Rotary positions: pair k of the D elements of a row at position m is rotated by the angle m base^(-2k / D) / factors[k].
 *   Pairs are (x_k, x_{k + D/2}), Hugging Face's rotate_half; with `adjacent` (x_2k, x_{2k + 1}), Meta's.
 *   x: (..., T, D) any float, any strides -> y: same shape and dtype, contiguous. positions: NULL for 0 .. T - 1, or (T),
 *   or (B, T) with B = x's first size, i64 or i32; offset is added to all of them. base 10000 unless given. factors:
 *   (D / 2) floating, NULL for 1. Angles are computed in f64, once per call and position.
 *   gradient: the rotation by the opposite angles, of every order, none for factors; saves positions and factors.
 *   errors: WG_ESHAPE for odd D, less than two dimensions, and positions; WG_EDTYPE; WG_EARG for base <= 0.
 *   source: Su et al., arXiv:2104.09864. */
#include "cpu/rope.h"

#include <math.h>

#include "ops/network.h"
#include "cuda/cuda.h"

typedef struct {
    int64_t offset;
    double base;
    bool adjacent, inverse;
} rope_attr;

static rope_attr rope_of(int64_t offset, double base, bool adjacent, bool inverse)
{
    rope_attr a;
    memset(&a, 0, sizeof a);
    a.offset = offset;
    a.base = base;
    a.adjacent = adjacent;
    a.inverse = inverse;
    return a;
}

/* Every batch has positions of its own. */
static bool by_batch(const wg_tensor *positions)
{
    return positions && positions->ndim == 2;
}

static wg_status check_positions(const wg_infer *c)
{
    const wg_tensor *x = c->in.t[0], *p = c->in.n > 1 ? c->in.t[1] : NULL;
    if (!p) return WG_OK;
    if (p->dtype != WG_I64 && p->dtype != WG_I32)
        return wg_raise(WG_EDTYPE, "positions should be i64 or i32, are %s",
                        wg_dtype_name((wg_dtype)p->dtype));
    const int64_t t = x->shape[x->ndim - 2];
    return wg_expect(c, 1, by_batch(p) && x->ndim > 2 ? WG_DIMS(x->shape[0], t) : WG_DIMS(t));
}

static wg_status check_factors(const wg_infer *c)
{
    const wg_tensor *x = c->in.t[0];
    if (c->in.n < 3 || !c->in.t[2]) return WG_OK;
    const wg_status s = wgi_expect_float(c, 2, "factors");
    return s != WG_OK ? s : wg_expect(c, 2, WG_DIMS(x->shape[x->ndim - 1] / 2));
}

static wg_status rope_infer(wg_infer *c)
{
    const rope_attr *a = c->attr;
    const wg_tensor *x = c->in.t[0];
    wg_status s = wgi_expect_float(c, 0, "x");
    if (s == WG_OK) s = wgi_expect_dims(c, 0, "x", 2);
    if (s == WG_OK && x->shape[x->ndim - 1] % 2)
        s = wg_raise(WG_ESHAPE, "x's last size %lld is odd: it cannot be cut into pairs",
                     (long long)x->shape[x->ndim - 1]);
    if (s == WG_OK && !(a->base > 0)) s = wg_raise(WG_EARG, "base %g is not positive", a->base);
    if (s == WG_OK) s = check_positions(c);
    if (s == WG_OK) s = check_factors(c);
    if (s == WG_OK) wg_infer_like(c, 0, x);
    return s;
}

/* position (positions) and frequency (D / 2) of the call, in scratch; returns the largest angle's size in *limit. */
static wg_status make_angles(const wg_run *r, wgi_rope *s, int64_t positions)
{
    const rope_attr *a = r->attr;
    const int64_t half = s->x.n / 2;
    void *position = NULL, *frequency = NULL;
    const void *given = NULL, *factors = NULL;
    wg_status e = wgi_flat(r, r->in.n > 1 ? r->in.t[1] : NULL, WG_I64, &given);
    if (e == WG_OK) e = wgi_flat(r, r->in.n > 2 ? r->in.t[2] : NULL, WG_F64, &factors);
    if (e == WG_OK) e = wgi_row_scratch(r, positions, WG_F64, &position);
    if (e == WG_OK) e = wgi_row_scratch(r, half, WG_F64, &frequency);
    if (e != WG_OK) return e;
    double *p = position, *f = frequency, highest = 0;
    for (int64_t i = 0; i < positions; i++) {
        p[i] = (double)(given ? ((const int64_t *)given)[i] : i % s->t) + (double)a->offset;
        highest = fmax(highest, fabs(p[i]));
    }
    s->limit = 0;
    for (int64_t k = 0; k < half; k++) {
        f[k] = pow(a->base, -2.0 * (double)k / (double)s->x.n);
        if (factors) f[k] /= ((const double *)factors)[k];
        s->limit = fmax(s->limit, highest * fabs(f[k]));
    }
    s->position = p;
    s->frequency = f;
    return WG_OK;
}

static wg_status rope_cpu(const wg_run *r)
{
    const rope_attr *a = r->attr;
    const wg_tensor *x = r->in.t[0], *given = r->in.n > 1 ? r->in.t[1] : NULL;
    const wg_dtype real = wgi_row_dtype(x->dtype);
    wgi_rope s = { .adjacent = a->adjacent, .inverse = a->inverse, .accumulate = r->accumulate };
    s.x = wgi_rows_along(x, x->ndim - 1);
    s.y = wgi_rows_along(r->out.t[0], x->ndim - 1);
    s.t = x->shape[x->ndim - 2];
    if (x->numel == 0) return WG_OK;
    if (by_batch(given)) s.batch_rows = s.x.rows / x->shape[0];
    const int64_t n = s.x.n, positions = given ? given->numel : s.t,
                  strips = wgi_row_strips(s.x.rows, n / 4);
    wg_status e = make_angles(r, &s, positions);
    if (e == WG_OK) e = wgi_row_scratch(r, positions * (n / 2), real, &s.cos);
    if (e == WG_OK) e = wgi_row_scratch(r, positions * (n / 2), real, &s.sin);
    if (e == WG_OK) e = wgi_row_scratch(r, strips * 2 * n, real, &s.buffer);
    if (e != WG_OK) return e;
    const wgi_rope_kernels *k = WGI_PICK(wgi_rope_kernels);
    wgi_row_parallel(positions, wgi_row_strips(positions, 2 * n), k->angles[real == WG_F64], &s);
    wgi_row_parallel(s.x.rows, strips, k->rotate[real == WG_F64], &s);
    return WG_OK;
}

static wg_status rope_cuda(const wg_run *r)
{
    const rope_attr *a = r->attr;
    return wgi_cuda_rope(r, a->offset, a->base, a->adjacent, a->inverse);
}

static wg_status rope_reference(const wg_run *r)
{
    const rope_attr *a = r->attr;
    const wg_tensor *t = r->in.t[0], *given = r->in.n > 1 ? r->in.t[1] : NULL;
    const double *x = wg_run_in(r, 0), *factors = r->in.n > 2 ? wg_run_in(r, 2) : NULL;
    double *y = wg_run_out(r, 0);
    const int64_t d = t->shape[t->ndim - 1], length = t->shape[t->ndim - 2];
    for (int64_t i = 0; i < t->numel; i++) {
        int64_t row = i / d, at = row % length, j = i % d, position = at;
        if (by_batch(given)) at += row / (t->numel / d / t->shape[0]) * length;
        if (given) {
            const wg_dtype type = (wg_dtype)given->dtype;
            position = wgi_load_int(
                (const char *)wgi_data(given) + at * (int64_t)wg_dtype_size(type), type);
        }
        const int64_t pair = a->adjacent ? j / 2 : j % (d / 2);
        const bool second = a->adjacent ? j % 2 : j >= d / 2;
        const int64_t other = i + (a->adjacent ? 1 : d / 2) * (second ? -1 : 1);
        const double angle =
            (double)(position + a->offset) *
            (pow(a->base, -2.0 * (double)pair / (double)d) / (factors ? factors[pair] : 1));
        const double sine = a->inverse ? -sin(angle) : sin(angle);
        y[i] = x[i] * cos(angle) + (second ? 1 : -1) * x[other] * sine;
    }
    return WG_OK;
}

static void rope_grad(wg_vjp *g)
{
    rope_attr a = *(const rope_attr *)g->attr;
    a.inverse = !a.inverse;
    wg_vjp_apply(g, (int[]) { 0 }, &wgi_op_rope,
                 WG_LIST(g->dy.t[0], g->x.n > 1 ? g->x.t[1] : NULL, g->x.n > 2 ? g->x.t[2] : NULL),
                 &a);
}

static void rope_samples(wg_samples *s)
{
    wg_tensor *x = wg_randn(WG_DIMS(2, 2, 3, 4)), *no = NULL;
    wg_tensor *one = wg_randint(0, 1000, WG_DIMS(3)), *each = wg_randint(0, 1000, WG_DIMS(2, 3));
    for (int adjacent = 0; adjacent < 2; adjacent++) {
        const rope_attr a = rope_of(0, 10000, adjacent, false), b = rope_of(5, 100, adjacent, true);
        wg_sample(s, "plain", WG_LIST(x, no), &a);
        wg_sample(s, "offset, inverse", WG_LIST(x, no), &b);
        wg_sample(s, "positions", WG_LIST(x, one), &a);
        wg_sample(s, "positions by batch", WG_LIST(x, wg_cast(each, WG_I32)), &b);
        wg_sample(s, "no heads", WG_LIST(wg_randn(WG_DIMS(3, 6)), one), &a);
        wg_sample(s, "empty", WG_LIST(wg_zeros(WG_DIMS(2, 0, 4)), no), &a);
        wg_sample(s, "factors", WG_LIST(x, one, wg_affine(wg_rand(WG_DIMS(2)), 8, 1)), &b);
    }
    const rope_attr a = rope_of(0, 10000, false, false),
                    far = rope_of(3000000, 10000, false, false),
                    zero = rope_of(0, -1, false, false);
    wg_sample(s, "far away", WG_LIST(x, no), &far);
    wg_sample_error(s, "odd", WG_LIST(wg_randn(WG_DIMS(3, 5)), no), &a, WG_ESHAPE,
                    "rope: x's last size 5 is odd");
    wg_sample_error(s, "vector", WG_LIST(wg_randn(WG_DIMS(4)), no), &a, WG_ESHAPE,
                    "rope: x should have at least 2");
    wg_sample_error(s, "positions' shape", WG_LIST(x, wg_arange(0, 4)), &a, WG_ESHAPE,
                    "rope: positions should be (3), is (4)");
    wg_sample_error(s, "positions' dtype", WG_LIST(x, wg_randn(WG_DIMS(3))), &a, WG_EDTYPE,
                    "rope: positions should be i64");
    wg_sample_error(s, "factors' shape", WG_LIST(x, no, wg_ones(WG_DIMS(4))), &a, WG_ESHAPE,
                    "rope: factors should be (2), is (4)");
    wg_sample_error(s, "base", WG_LIST(x, no), &zero, WG_EARG, "rope: base -1 is not positive");
    wg_sample_error(s, "integers", WG_LIST(each, no), &a, WG_EDTYPE, "rope: x should be floating");
}

const wg_op wgi_op_rope = {
    .name = "rope",
    .in = { "x", "positions?", "factors?" },
    .out = { "y" },
    .attr_size = sizeof(rope_attr),
    .flags = WG_OP_ACCUMULATE,
    .saves = WG_IN(1) | WG_IN(2),
    .no_grad = WG_IN(2),
    .infer = rope_infer,
    .cpu = rope_cpu,
    .cuda = rope_cuda,
    .reference = rope_reference,
    .grad = rope_grad,
    .samples = rope_samples,
};

wg_tensor *wg_rope_call(wg_rope_args a)
{
    const rope_attr attr = rope_of(a.offset, a.base == 0 ? 10000 : a.base, a.adjacent, false);
    return wg_apply(&wgi_op_rope, WG_LIST(a.x, a.positions, a.factors), &attr, NULL);
}
