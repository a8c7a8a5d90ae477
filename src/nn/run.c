/* Running modules: scope, path, device and dtype, recomputation, hooks. */
#include "nn/state.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/tensor.h"

static _Thread_local const wgi_observer *observer;

const wgi_observer *wgi_observe(const wgi_observer *o)
{
    const wgi_observer *before = observer;
    observer = o;
    return before;
}

bool wgi_forward_is_watched(const wg_module *m)
{
    return observer || m->state->n_hooks > 0 || m->state->recompute;
}

wg_tensor *wgi_first_tensor(const wg_module *m, bool floating)
{
    const struct wg_module_state *s = m->state;
    for (int64_t i = 0; i < s->n_entries; i++)
        if (!floating || wg_dtype_is_float(wg_dtype_of(s->entries[i].tensor)))
            return s->entries[i].tensor;
    for (int64_t i = 0; i < s->n_children; i++) {
        wg_tensor *t =
            s->children[i].module ? wgi_first_tensor(s->children[i].module, floating) : NULL;
        if (t) return t;
    }
    return NULL;
}

wg_scope(wg_module_enter)(wg_module *m)
{
    wg_scope s = wg_scope_push();
    if (wgi_no_module(m, "module_enter")) return s;
    wgi_module_path(m);
    wg_tensor *first = wgi_first_tensor(m, true);
    if (first) wg_use_dtype(wg_dtype_of(first));
    if (!first) first = wgi_first_tensor(m, false); /* blocks alone */
    if (first) wg_use_device(wg_device_of(first));
    return s;
}

/* ---- recomputation by a flag ----------------------------------------------------------------- */

/* What the tape keeps of a flagged module's run; the caller's own closure follows. */
typedef struct {
    wg_module *module;
    wg_fn fn;
    bool training;
    max_align_t self[];
} segment;

typedef struct {
    int64_t n;
    bool *training; /* (n); NULL while counting */
    bool restore;
} modes;

static void visit_mode(void *self, const wgi_segments *path, wg_module *m)
{
    (void)path;
    modes *a = self;
    if (a->training && a->restore)
        m->training = a->training[a->n];
    else if (a->training)
        a->training[a->n] = m->training;
    a->n++;
}

/* The mode may have changed since the first run: the recomputation runs in that run's. */
static void run_segment(void *p, wg_list in, wg_list out)
{
    segment *s = p;
    if (s->module->training == s->training) {
        s->fn(s->self, in, out);
        return;
    }
    modes a = { 0 };
    wgi_walk(s->module, visit_mode, &a);
    if (!(a.training = malloc((size_t)a.n * sizeof *a.training))) {
        for (int64_t i = 0; i < out.n; i++) out.t[i] = wg_fail(WG_EMEM, "recompute: out of memory");
        return;
    }
    a.n = 0;
    wgi_walk(s->module, visit_mode, &a);
    wg_module_train(s->module, s->training);
    s->fn(s->self, in, out);
    a.n = 0;
    a.restore = true;
    wgi_walk(s->module, visit_mode, &a);
    free(a.training);
}

void wg_module_run(wg_module *m, wg_fn fn, const void *self, size_t bytes, wg_list in, wg_list out)
{
    segment *s = NULL;
    if (wgi_no_module(m, "module_run")) goto failed;
    if (!fn || (bytes && !self)) {
        wg_raise(WG_EARG, "module_run: the function or its closure is NULL");
        goto failed;
    }
    if (!(s = wg_scope_alloc(sizeof *s + bytes))) goto failed;
    *s = (segment) { m, fn, m->training };
    if (bytes) memcpy(s->self, self, bytes);
    if (m->state->recompute && wg_grad_is_on())
        wg_recompute(run_segment, s, sizeof *s + bytes, in, out);
    else
        fn(s->self, in, out);
    return;
failed:
    for (int64_t i = 0; i < out.n; i++) out.t[i] = wg_fail(WG_EARG, "module_run: failed");
}

void wg_module_recompute(wg_module *m, bool on)
{
    if (!wgi_no_module(m, "module_recompute")) m->state->recompute = on;
}

/* ---- forward --------------------------------------------------------------------------------- */

static void run_forward(void *self, wg_list in, wg_list out)
{
    wg_module *m = *(wg_module **)self;
    out.t[0] = m->type->forward(m, in.t[0]);
}

wg_tensor *(wg_forward)(wg_module *m, wg_tensor *x)
{
    if (wgi_no_module(m, "forward")) return wg_fail(WG_EARG, "forward: the module is NULL");
    wg_scope s = wg_module_enter(m);
    if (!m->type->forward)
        return wg_scope_return(
            s, wg_fail(WG_EARG, "%s: this module has only a typed forward", m->type->name));
    if (!x || wg_is_error(x))
        return wg_scope_return(s, wg_fail(WG_EARG, "%s: x is NULL or an error", m->type->name));
    const wgi_observer *watching = observer;
    if (watching) watching->before(watching->self, m);
    wg_tensor *y = NULL;
    if (m->state->recompute)
        wg_module_run(m, run_forward, &m, sizeof m, WG_LIST(x), (wg_list) { 1, &y });
    else
        y = m->type->forward(m, x);
    if (!y) y = wg_fail(WG_EARG, "%s: its forward returned NULL", m->type->name);
    if (watching) watching->after(watching->self, m, y);
    for (int64_t i = 0; i < m->state->n_hooks; i++)
        m->state->hooks[i].fn(m->state->hooks[i].self, m, x, y);
    return wg_scope_return(s, y);
}

void wg_module_hook(wg_module *m, wg_forward_hook fn, void *self)
{
    if (wgi_no_module(m, "module_hook")) return;
    struct wg_module_state *s = m->state;
    if (!fn)
        wg_raise(WG_EARG, "module_hook: the function is NULL");
    else if (wgi_grow((void **)&s->hooks, s->n_hooks, &s->hooks_capacity, sizeof *s->hooks))
        s->hooks[s->n_hooks++] = (wgi_forward_hook) { fn, self };
}

/* ---- gradient check -------------------------------------------------------------------------- */

static void check_forward(void *self, wg_list in, wg_list out)
{
    out.t[0] = wg_forward(self, in.t[0]);
}

wg_status wg_module_gradcheck(wg_module *m, wg_tensor *x, FILE *report)
{
    wg_scope s = wg_scope_push();
    if (!wgi_no_module(m, "module_gradcheck")) {
        wg_params ps = wg_module_params(m);
        wg_list in =
            wg_list_new(ps.n + 1); /* the parameters are perturbed in place: forward sees them */
        if (in.n) {
            in.t[0] = x;
            in.n = 1;
            for (int64_t i = 0; i < ps.n; i++)
                if (wg_requires_grad(ps.p[i].tensor)) in.t[in.n++] = ps.p[i].tensor;
            (void)!wg_gradcheck(check_forward, m, in, &(wg_check) { .report = report });
        }
    }
    return wg_scope_pop(s);
}
