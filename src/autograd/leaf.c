/* Leaves and hooks. */
#include "autograd/node.h"

static atomic_uint_fast64_t next_hook = 1;

wg_tensor *(wg_require_grad)(wg_tensor *t)
{
    if (wgi_refuse(t, "require_grad")) return &wgi_error_tensor;
    if (!wgi_is_float(t->dtype))
        return wg_fail(WG_EDTYPE, "require_grad: only floating tensors have gradients, not %s",
                       wg_dtype_name((wg_dtype)t->dtype));
    if (t->node)
        return t->node->flags & WGI_NODE_LEAF
                   ? t
                   : wg_fail(WG_EGRAD,
                             "require_grad: the tensor has a history; wg_detach it first");
    t->node = wgi_leaf_new(wgi_ctx(), t);
    t->output = 0;
    return t->node ? t : &wgi_error_tensor;
}

bool wg_requires_grad(const wg_tensor *t)
{
    return !wgi_bad(t) && t->node;
}

wg_tensor *(wg_detach)(wg_tensor *t)
{
    if (wgi_refuse(t, "detach")) return &wgi_error_tensor;
    return wgi_tensor_view(wgi_ctx(), t, wgi_shape(t), wgi_strides(t), t->offset);
}

static wgi_node *leaf_of(const wg_tensor *t)
{
    return !wgi_bad(t) && t->node && (t->node->flags & WGI_NODE_LEAF) ? t->node : NULL;
}

wg_tensor *wg_grad_of(const wg_tensor *leaf)
{
    wgi_node *n = leaf_of(leaf);
    return n ? n->grad : NULL;
}

static void replace_grad(wgi_node *n, wg_tensor *grad)
{
    wgi_leaf_lock(n);
    wg_tensor *old = n->grad;
    n->grad = grad;
    wgi_leaf_unlock(n);
    wgi_unref(old);
}

void wg_drop_grad(wg_tensor *leaf)
{
    wgi_node *n = leaf_of(leaf);
    if (n && n->grad) replace_grad(n, NULL);
}

wg_status wg_set_grad(wg_tensor *leaf, wg_tensor *grad)
{
    if (wgi_refuse(leaf, "set_grad") || (grad && wgi_refuse(grad, "set_grad")))
        return wg_error_code();
    wgi_node *n = leaf_of(leaf);
    if (!n)
        return wg_raise(WG_EGRAD, "set_grad: the tensor is not a leaf that requires a gradient");
    if (grad && !wgi_same_shape(leaf, grad)) {
        char a[160], b[160];
        wgi_tensor_text(a, sizeof a, leaf);
        wgi_tensor_text(b, sizeof b, grad);
        return wg_raise(WG_ESHAPE, "set_grad: the gradient is %s, the leaf %s", b, a);
    }
    replace_grad(n, wgi_ref(grad));
    return WG_OK;
}

/* ---- hooks --------------------------------------------------------------------------------------------------- */
static uint64_t add_hook(wg_tensor *t, wgi_hook_entry entry)
{
    wgi_hook_entry *h = wgi_cpu_alloc(sizeof *h);
    if (!h) {
        wg_raise(WG_EMEM, "out of memory for a hook");
        return 0;
    }
    *h = entry;
    h->id = atomic_fetch_add_explicit(&next_hook, 1, memory_order_relaxed);
    wgi_hook_entry **end = &t->node->hooks; /* in the order of registration */
    while (*end) end = &(*end)->next;
    *end = h;
    return h->id;
}

uint64_t wg_hook(wg_tensor *t, wg_tensor_hook fn, void *self)
{
    if (wgi_refuse(t, "hook")) return 0;
    if (!t->node || !fn) {
        wg_raise(t->node ? WG_EARG : WG_EGRAD,
                 t->node ? "hook: fn is NULL" : "hook: the tensor requires no gradient");
        return 0;
    }
    return add_hook(t, (wgi_hook_entry) { .output = t->output, .fn = fn, .self = self });
}

uint64_t wg_hook_leaf(wg_tensor *leaf, void (*fn)(void *self, wg_tensor *leaf_grad), void *self)
{
    if (wgi_refuse(leaf, "hook_leaf")) return 0;
    if (!leaf_of(leaf) || !fn) {
        wg_raise(WG_EGRAD, "hook_leaf: wants a leaf that requires a gradient, and a function");
        return 0;
    }
    return add_hook(leaf, (wgi_hook_entry) { .leaf = fn, .self = self });
}

void wg_unhook(wg_tensor *t, uint64_t id)
{
    if (wgi_bad(t) || !t->node) return;
    for (wgi_hook_entry **h = &t->node->hooks; *h; h = &(*h)->next)
        if ((*h)->id == id) {
            wgi_hook_entry *gone = *h;
            *h = gone->next;
            wgi_cpu_free(gone, sizeof *gone);
            return;
        }
}
