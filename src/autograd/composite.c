/* A fused op's gradient of any order: its composite, differentiated by the tape. */
#include "autograd/run.h"
#include "wengert/ops.h"

static int visible_outputs(const wgi_node *n)
{
    int count = 0;
    for (int j = 0; j < n->n_out; j++)
        if (j >= 16 || !(n->op->hidden & WG_OUT(j))) count++;
    return count;
}

/* y, dy with the outputs left out that got no cotangent. */
static wg_list reached(wg_list outputs, const wgi_node *n, const wg_vjp *g, wg_list dy)
{
    int64_t k = 0, visible = 0;
    for (int j = 0; j < n->n_out; j++) {
        if (j < 16 && (n->op->hidden & WG_OUT(j))) continue;
        wg_tensor *y = outputs.t[visible++];
        if (!g->dy.t[j] || wgi_bad(y) || !y->node) continue;
        dy.t[k] = g->dy.t[j];
        outputs.t[k++] = y;
    }
    return (wg_list) { k, outputs.t };
}

/* Every input behind an alias of its own: the walk below stops there, though one input may depend on another. */
static void alias_inputs(const wg_vjp *g, wg_list in, wg_list wanted, int64_t *count)
{
    for (int64_t i = 0; i < in.n; i++) {
        in.t[i] = g->x.t[i];
        if (!g->wants[i]) continue;
        if (!in.t[i]) {
            wg_raise(WG_EGRAD, "input %lld was not saved for the composite's gradient",
                     (long long)i);
            return;
        }
        if (!in.t[i]->node) in.t[i] = wg_require_grad(wg_detach(in.t[i]));
        in.t[i] = wg_alias(in.t[i]);
        wanted.t[(*count)++] = in.t[i];
    }
}

void wgi_composite_grad(wg_vjp *g)
{
    wgi_rule *rule = g->engine;
    const wgi_node *n = rule->node;
    wgi_context *c = rule->context;
    wg_use_grad(true); /* until the rule's scope ends */
    wg_list in = wg_list_new(n->n_in), wanted = wg_list_new(n->n_in), dx = wg_list_new(n->n_in);
    wg_list out = wg_list_new(visible_outputs(n)), dy = wg_list_new(n->n_out);
    if (wg_error_code()) return;
    int64_t count = 0;
    alias_inputs(g, in, wanted, &count);
    if (wg_error_code()) return;
    wg_generator random = c->random;
    c->random = (wg_generator) { g->random[0], g->random[1] }; /* the numbers that the kernel had */
    n->op->composite((void *)(uintptr_t)g->attr, in, out);
    c->random = random;
    wg_list y = reached(out, n, g, dy);
    dy.n = y.n;
    wanted.n = dx.n = count;
    if (!y.n || wg_error_code()) return;
    unsigned flags = WG_ALLOW_UNUSED | (rule->create_graph ? WG_CREATE_GRAPH : 0);
    if ((wg_grad)(y, wanted, dy, flags, dx) != WG_OK) return;
    for (int64_t i = 0, k = 0; i < n->n_in; i++)
        if (g->wants[i]) g->dx.t[i] = dx.t[k++];
}
