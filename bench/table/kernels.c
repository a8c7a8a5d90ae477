/* An op's door, a chain over memory, attention. */
#include <stdio.h>

#include "table.h"

/* ---- x + b of 4 x 4, gradients on, one thread ------------------------------------------------ */
enum { CHAIN = 1000 };
typedef struct {
    wg_tensor *x, *b;                  /* (4, 4) */
    double forward, backward, release; /* seconds an op of the last run */
} chain;

static double add_chain(void *self)
{
    chain *c = self;
    const wg_scope s = wg_scope_push();
    const double start = now();
    wg_tensor *y = c->x;
    for (int i = 0; i < CHAIN; i++) y = wg_add(y, c->b);
    const double middle = now();
    wg_backward(y, .cotangent = c->x);
    const double end = now();
    wg_drop_grad(c->x);
    wg_drop_grad(c->b);
    wg_scope_return(s, NULL);
    const double released = now();
    c->forward = (middle - start) / CHAIN;
    c->backward = (end - middle) / CHAIN;
    c->release = (released - end) / CHAIN;
    return released - start;
}

void measure_add_chain(const row *r, const settings *s, result *to)
{
    double forward[MAX_RUNS] = { 0 }, backward[MAX_RUNS] = { 0 }, release[MAX_RUNS] = { 0 };
    const int64_t n = runs_of(r, s);
    wg_use_threads(1);
    const wg_scope all = wg_scope_push();
    chain c = { .x = wg_require_grad(wg_ones(WG_DIMS(4, 4))),
                .b = wg_require_grad(wg_ones(WG_DIMS(4, 4))) };
    for (int64_t i = -r->warm; i < n && !wg_error_code(); i++) {
        add_chain(&c);
        if (i < 0) continue;
        forward[i] = c.forward;
        backward[i] = c.backward;
        release[i] = c.release;
    }
    add_line(r, to, "forward", forward, n);
    add_line(r, to, "backward", backward, n);
    add_line(r, to, "release", release, n)->limit = 0;
    if (!wg_error_code()) measure_costs(r, s, to, add_chain, &c);
    wg_scope_return(all, NULL);
    wg_use_threads(s->threads);
}

/* ---- a chain of ten elementwise ops, gradients off ------------------------------------------- */
enum { OPS = 10 };

/* Op i of the ten, each one reading and one writing. */
static wg_tensor *op_of_chain(int i, wg_tensor *x)
{
    switch (i) {
    case 0: return wg_affine(x, 1.5, 0);
    case 1: return wg_affine(x, 1, -0.25);
    case 2: return wg_relu(x);
    case 3: return wg_square(x);
    case 4: return wg_affine(x, 0.5, 0);
    case 5: return wg_neg(x);
    case 6: return wg_abs(x);
    case 7: return wg_clamp(x, 0, 2);
    case 8: return wg_affine(x, 1, 1);
    default: return wg_relu(x);
    }
}

/* An op at a time; a result is given back when the next one stands. */
static double ten_ops(void *self)
{
    wg_tensor *y = NULL;
    const double start = now();
    wg_set(&y, self);
    for (int i = 0; i < OPS; i++) {
        const wg_scope one = wg_scope_push();
        wg_set(&y, op_of_chain(i, y));
        wg_scope_return(one, NULL);
    }
    wg_unref(&y);
    return now() - start;
}

void measure_elementwise(const row *r, const settings *s, result *to)
{
    const int64_t n = triad_floats(s);
    const wg_scope all = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *x = wg_randn(WG_DIMS(n));
    const double before = triad_rate(s).median;
    line *l = measure_runs(r, s, to, ten_ops, x);
    const double after = triad_rate(s).median,
                 pass = 2 * 4.0 * (double)n / (0.5 * (before + after));
    l->passes = l->median / pass;
    wg_scope_return(all, NULL);
    wg_memory_trim();
}

/* ---- the same ten as one fused function -------------------------------------------------------- */
typedef struct {
    wg_tensor *x, *dy;        /* the function's input, its output's cotangent */
    double forward, backward; /* seconds of the last run */
} fused;

static void chain_of_ops(void *self, wg_list in, wg_list out)
{
    (void)self;
    wg_tensor *y = in.t[0];
    for (int i = 0; i < OPS; i++) y = op_of_chain(i, y);
    out.t[0] = y;
}

/* One without gradients, whose time counts, and one with them, of which backward's does. */
static double fused_ops(void *self)
{
    fused *f = self;
    wg_tensor *y[1];
    for (int grad = 0; grad < 2; grad++) {
        const wg_scope s = wg_scope_push();
        wg_use_grad(grad);
        const double start = now();
        wg_fuse(chain_of_ops, NULL, 0, WG_LIST(f->x), ((wg_list) { 1, y }));
        const double middle = now();
        if (grad)
            wg_backward(y[0], .cotangent = f->dy);
        else
            f->forward = middle - start;
        f->backward = now() - middle;
        wg_drop_grad(f->x);
        wg_scope_return(s, NULL);
    }
    return f->forward + f->backward;
}

void measure_fused(const row *r, const settings *s, result *to)
{
    const int64_t n = triad_floats(s), runs = runs_of(r, s);
    double forward[MAX_RUNS] = { 0 }, backward[MAX_RUNS] = { 0 };
    const wg_scope all = wg_scope_push();
    fused f = { .x = wg_require_grad(wg_randn(WG_DIMS(n))), .dy = wg_randn(WG_DIMS(n)) };
    const double before = triad_rate(s).median;
    for (int64_t i = -r->warm; i < runs && !wg_error_code(); i++) {
        fused_ops(&f);
        if (i < 0) continue;
        forward[i] = f.forward;
        backward[i] = f.backward;
    }
    const double after = triad_rate(s).median,
                 pass = 2 * 4.0 * (double)n / (0.5 * (before + after));
    line *l[] = { add_line(r, to, "forward", forward, runs),
                  add_line(r, to, "backward", backward, runs) };
    for (int i = 0; i < 2; i++) {
        l[i]->passes = l[i]->median / pass;
        l[i]->target_passes = r->target_passes;
    }
    if (!wg_error_code()) measure_costs(r, s, to, fused_ops, &f);
    wg_scope_return(all, NULL);
    wg_memory_trim();
}

/* ---- attention ------------------------------------------------------------------------------- */
typedef struct {
    wg_tensor *x[3], *dy; /* q, k, v and the result's cotangent: (B, H, T, D) */
} operands;

static double attend(void *self)
{
    operands *o = self;
    const wg_scope s = wg_scope_push();
    const double start = now();
    wg_tensor *y = wg_sdpa(o->x[0], o->x[1], o->x[2], .is_causal = true), *dx[3];
    (void)!wg_grad(WG_LIST(y), (wg_list) { 3, o->x }, WG_LIST(o->dy), 0, (wg_list) { 3, dx });
    wg_scope_return(s, NULL);
    return now() - start;
}

void measure_attention(const row *r, const settings *s, result *to)
{
    const model *m = r->model;
    const int64_t b = m->batch, h = s->smoke ? 2 : m->heads, d = m->width / m->heads,
                  t = s->smoke ? 16 : m->block;
    const wg_scope all = wg_scope_push();
    operands o = { .dy = wg_randn(WG_DIMS(b, h, t, d)) };
    for (int i = 0; i < 3; i++) /* (B, T, H, D) seen as (B, H, T, D), as a projection gives it */
        o.x[i] = wg_require_grad(wg_detach(wg_transpose(wg_randn(WG_DIMS(b, t, h, d)), 1, 2)));
    line *l = measure_runs(r, s, to, attend, &o);
    const double pairs = (double)(b * h) * (double)t * (double)(t + 1) / 2;
    l->flops = 7 * 2 * pairs * (double)d; /* two products forward, five backward */
    l->target = r->target;
    wg_scope_return(all, NULL);
    wg_memory_trim();
}
