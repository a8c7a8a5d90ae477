/* Where gradients go: kernels that can write or add right into the gradient's place. */
#include "autograd/rule.h"
#include "autograd/run.h"
#include "wengert/ops.h"

wg_dims wg_vjp_in_shape(const wg_vjp *g, int i)
{
    const wgi_meta *m = &((wgi_rule *)g->engine)->node->meta[i];
    return wgi_dims(m->ndim, m->shape);
}

wg_dtype wg_vjp_in_dtype(const wg_vjp *g, int i)
{
    return (wg_dtype)((wgi_rule *)g->engine)->node->meta[i].dtype;
}

wg_dims wg_vjp_out_shape(const wg_vjp *g, int i)
{
    const wgi_node *n = ((wgi_rule *)g->engine)->node;
    return wgi_dims(n->meta[n->n_in + i].ndim, n->meta[n->n_in + i].shape);
}

wg_dtype wg_vjp_out_dtype(const wg_vjp *g, int i)
{
    const wgi_node *n = ((wgi_rule *)g->engine)->node;
    return (wg_dtype)n->meta[n->n_in + i].dtype;
}

wg_status wgi_copy_into(wgi_context *c, wg_tensor *into, wg_tensor *from)
{
    if (into->device.kind == WG_META)
        return c->program ? wg_raise(WG_EARG, "fuse: a gradient is copied, which no tile can do")
                          : WG_OK;
    return wgi_copy_elements(into, from);
}

/* ---- the place of one cotangent --------------------------------------------------------------------------------- */
/* A cast of a parameter to 16 bits is seen through: the product then accumulates in the parameter's own dtype. */
static void see_through_casts(wgi_run *r, wgi_place *p)
{
    for (;;) {
        wgi_node *n = p->edge.node;
        if (n->op != &wgi_op_cast || n->hooks || n->cotangent[0]) return;
        if (n->flags & WGI_NODE_CAPTURED || !n->edges[0].node) return;
        if (r->n_captures) return; /* wg_grad must see it pass */
        if (n->meta[0].dtype != WG_F32) return;
        p->edge = n->edges[0];
        p->meta = n->meta[0];
    }
}

static void aim(wgi_run *r, const wgi_node *from, int i, wgi_place *p)
{
    p->edge = from->edges[i];
    p->meta = from->meta[i];
    p->into = NULL;
    p->locked = NULL;
    see_through_casts(r, p);
}

/* Finds what lies there already, if it may be added to. */
static void take_place(const wgi_run *r, wgi_place *p)
{
    wgi_node *n = p->edge.node;
    if (!(n->flags & WGI_NODE_LEAF)) {
        if (n->run == r && wgi_exclusive(n->cotangent[p->edge.index]))
            p->into = n->cotangent[p->edge.index];
        return;
    }
    if (r->n_captures || n->hooks) return;
    wgi_leaf_lock(n);
    if (wgi_exclusive(n->grad)) {
        p->into = n->grad;
        p->locked = n;
    } else {
        wgi_leaf_unlock(n);
    }
}

void wgi_place_find(wgi_run *r, const wgi_node *from, int i, const wgi_place *held, int n_held,
                    wgi_place *p)
{
    aim(r, from, i, p);
    for (int k = 0; k < n_held; k++)
        if (held[k].locked == p->edge.node) {
            p->into = held[k].into;
            return;
        }
    take_place(r, p);
}

void wgi_place_leave(wgi_place *p)
{
    if (p->locked) wgi_leaf_unlock(p->locked);
    p->locked = NULL;
}

/* One operand twice: its gradient cannot be two outputs of a kernel, nor its leaf be locked twice. */
static bool any_place_twice(const wgi_place *p, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (p[i].edge.node == p[j].edge.node && p[i].edge.index == p[j].edge.index) return true;
    return false;
}

int64_t wgi_meta_elements(const wgi_meta *m)
{
    int64_t n = 1;
    for (int i = 0; i < m->ndim; i++) n *= m->shape[i];
    return n;
}

wg_tensor *wgi_place_new(wgi_run *r, const wgi_meta *m, bool zeros)
{
    wg_tensor *t =
        wgi_tensor_new(r->context, (wg_dtype)m->dtype, m->device, wgi_dims(m->ndim, m->shape));
    if (!zeros || wgi_bad(t)) return t;
    const size_t bytes = (size_t)t->numel * wg_dtype_size((wg_dtype)m->dtype);
    return wgi_zero_bytes(t->device, wgi_data(t), bytes) == WG_OK ? t : &wgi_error_tensor;
}

/* Takes the places of n outputs. Returns whether the kernel shall add: where most elements have a place already, to which
 * `there` others are counted. (A norm's dx joins the residual's gradient; its weight's first gradient begins with a few
 * zeros for that.) */
static bool take_places(wgi_rule *rule, const int *to, int n, int64_t there, wgi_place *p)
{
    int64_t missing = 0;
    for (int j = 0; j < n; j++) aim(rule->run, rule->node, to[j], &p[j]);
    const bool apart = !any_place_twice(p, n);
    for (int j = 0; j < n; j++) {
        if (apart) take_place(rule->run, &p[j]);
        *(p[j].into ? &there : &missing) += wgi_meta_elements(&p[j].meta);
    }
    if (there > missing) return true;
    for (int j = 0; j < n; j++) {
        wgi_place_leave(&p[j]);
        p[j].into = NULL;
    }
    return false;
}

/* Puts op's outputs into the cotangents dx[to[j]]: adds to what is there, or makes new ones. spec: what its shape rule
 * says of them. */
static wg_status apply_into(wgi_rule *rule, const int *to, int n, const wg_op *op, wg_list in,
                            const void *attr, const wg_spec *spec)
{
    wgi_place p[WG_MAX_OUTPUTS];
    wg_tensor *out[WG_MAX_OUTPUTS];
    const bool add = take_places(rule, to, n, 0, p);
    wg_status s = WG_OK;
    for (int j = 0; j < n; j++) {
        const bool any_layout = !add && op->flags & WG_OP_LAYOUT;
        out[j] = p[j].into    ? p[j].into
                 : any_layout ? wgi_part_place(rule->run, p[j].edge, &spec[j])
                              : NULL;
        if (out[j]) continue;
        out[j] = wgi_place_new(rule->run, &p[j].meta, add);
        if (!wgi_bad(out[j]) && any_layout) wgi_lay_out(out[j], &spec[j]);
    }
    for (int j = 0; j < n; j++)
        if (wgi_bad(out[j])) s = wg_error_code();
    if (s == WG_OK) s = wgi_run_into(rule->context, op, in, attr, out, n, add);
    for (int j = 0; j < n; j++) wgi_place_leave(&p[j]);
    for (int j = 0; j < n; j++) {
        if (s == WG_OK && !p[j].into) s = wgi_deliver(rule->run, p[j].edge, &p[j].meta, out[j]);
        rule->placed[to[j]] = true;
    }
    return s;
}

static int outputs_of(const wg_op *op)
{
    int n = 0;
    while (n < WG_MAX_OUTPUTS && op->out[n]) n++;
    return n;
}

/* The kernel may write in place only if it makes the operand's whole, unbroadcast gradient, all of it wanted. */
static bool may_place(const wg_vjp *g, const int *to, int n, const wg_op *op)
{
    const wgi_rule *rule = g->engine;
    if (rule->create_graph || !(op->flags & WG_OP_ACCUMULATE) || wg_error_code()) return false;
    for (int j = 0; j < n; j++)
        if (to[j] < 0 || !g->wants[to[j]] || rule->placed[to[j]]) return false;
    return true;
}

/* The shapes that op will give (out: WG_MAX_OUTPUTS), against those of the operands' gradients. */
static bool fits(const wg_vjp *g, const int *to, int n, const wg_op *op, wg_list in,
                 const void *attr, wg_spec *out)
{
    wg_infer c = { .attr = attr, .in = in, .n_out = n, .out = out, .random = -1 };
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i] && wgi_bad(in.t[i])) return false;
    if (op->infer(&c) != WG_OK || c.n_out != n || c.out != out) return false;
    for (int j = 0; j < n; j++) {
        wg_dims want = wg_vjp_in_shape(g, to[j]);
        if (!wgi_dims_equal(&want, &out[j].shape)) return false;
    }
    return true;
}

void wg_vjp_apply(wg_vjp *g, const int *to, const wg_op *op, wg_list in, const void *attr)
{
    wgi_rule *rule = g->engine;
    int n = outputs_of(op);
    wg_spec spec[WG_MAX_OUTPUTS];
    if (may_place(g, to, n, op) && fits(g, to, n, op, in, attr, spec)) {
        apply_into(rule, to, n, op, in, attr, spec);
        return;
    }
    wg_tensor *more[WG_MAX_OUTPUTS];
    wg_tensor *first = (wg_apply)(op, in, attr, more);
    for (int j = 0; j < n; j++) {
        if (to[j] < 0 || !g->wants[to[j]]) continue;
        wg_tensor *d = j ? more[j - 1] : first;
        g->dx.t[to[j]] = g->dx.t[to[j]] ? wg_add(g->dx.t[to[j]], d) : d;
    }
}

/* Adds op's output 0 to `onto`, and the others to what lies in their places, or to zeros. *added: whether it did: not where
 * most of it would be added to zeros. */
static wg_status add_onto(wgi_rule *rule, wg_tensor *onto, const int *to, int n, const wg_op *op,
                          wg_list in, const void *attr, bool *added)
{
    wgi_place p[WG_MAX_OUTPUTS];
    wg_tensor *out[WG_MAX_OUTPUTS] = { onto };
    wg_status s = WG_OK;
    if (!(*added = take_places(rule, to + 1, n - 1, onto->numel, p + 1))) return WG_OK;
    for (int j = 1; j < n; j++) {
        out[j] = p[j].into ? p[j].into : wgi_place_new(rule->run, &p[j].meta, true);
        if (wgi_bad(out[j])) s = wg_error_code();
    }
    if (s == WG_OK) s = wgi_run_into(rule->context, op, in, attr, out, n, true);
    for (int j = 1; j < n; j++) wgi_place_leave(&p[j]);
    for (int j = 1; j < n; j++) {
        if (s == WG_OK && !p[j].into) s = wgi_deliver(rule->run, p[j].edge, &p[j].meta, out[j]);
        rule->placed[to[j]] = true;
    }
    return s;
}

wg_tensor *wgi_vjp_apply_onto(wg_vjp *g, wg_tensor *cotangent, const int *to, const wg_op *op,
                              wg_list in, const void *attr)
{
    const int n = outputs_of(op);
    wg_spec spec[WG_MAX_OUTPUTS];
    bool added = false;
    if (wgi_exclusive(cotangent) && may_place(g, to, n, op) && fits(g, to, n, op, in, attr, spec) &&
        spec[0].dtype == (wg_dtype)cotangent->dtype &&
        add_onto(g->engine, cotangent, to, n, op, in, attr, &added) != WG_OK)
        return &wgi_error_tensor;
    if (added) return cotangent;
    wg_tensor *more[WG_MAX_OUTPUTS];
    wg_tensor *first = (wg_apply)(op, in, attr, more);
    for (int j = 1; j < n; j++)
        if (to[j] >= 0 && g->wants[to[j]]) g->dx.t[to[j]] = more[j - 1];
    return cotangent ? wg_add(cotangent, first) : first;
}

/* ---- past the op that made an input ------------------------------------------------------------------------------- */
bool wgi_vjp_behind(const wg_vjp *g, int i, const wg_op *maker, int j, wg_tensor **y,
                    const void **attr)
{
    const wgi_rule *rule = g->engine;
    const wgi_edge e = rule->node->edges[i];
    wg_tensor *in[WG_MAX_INPUTS] = { NULL }, *out[WG_MAX_OUTPUTS] = { NULL };
    if (!g->wants[i] || rule->placed[i] || rule->create_graph || rule->run->n_captures)
        return false;
    if (!e.node || e.node->op != maker || e.index != 0 || e.node->hooks) return false;
    if (wgi_saved_read(rule->context, e.node, false, in, out) != WG_OK) return false;
    *y = out[j];
    *attr = e.node->attr;
    return *y != NULL;
}

void wgi_vjp_put_behind(wg_vjp *g, int i, int j, wg_tensor *d)
{
    wgi_rule *rule = g->engine;
    wgi_node *n = rule->node->edges[i].node;
    rule->placed[i] = true;
    if (!wgi_bad(d)) (void)!wgi_deliver(rule->run, (wgi_edge) { n, j }, &n->meta[n->n_in + j], d);
}
