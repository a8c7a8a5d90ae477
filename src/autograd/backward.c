/* Backward: walks nodes by falling sequence number, without recursion, on the caller's thread, freeing as it goes.
 * Consumers have larger numbers than producers, so a node is reached after all its cotangents. */
#include "autograd/run.h"
#include "wengert/ops.h"

/* ---- the heap of nodes to visit, the largest sequence number on top ----------------------------------------- */
static wg_status heap_push(wgi_run *r, wgi_node *n)
{
    if (r->heap_n == r->heap_capacity) {
        int64_t capacity = r->heap_capacity ? 2 * r->heap_capacity : 64;
        wgi_node **h = wgi_cpu_alloc((size_t)capacity * sizeof *h);
        if (!h) return wg_raise(WG_EMEM, "out of memory in backward");
        if (r->heap_n) memcpy(h, r->heap, (size_t)r->heap_n * sizeof *h);
        wgi_cpu_free(r->heap, (size_t)r->heap_capacity * sizeof *h);
        r->heap = h;
        r->heap_capacity = capacity;
    }
    int64_t i = r->heap_n++;
    for (; i > 0 && r->heap[(i - 1) / 2]->sequence < n->sequence; i = (i - 1) / 2)
        r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = n;
    return WG_OK;
}

static wgi_node *heap_pop(wgi_run *r)
{
    wgi_node *top = r->heap[0], *last = r->heap[--r->heap_n];
    int64_t i = 0;
    for (;;) {
        int64_t c = 2 * i + 1;
        if (c >= r->heap_n) break;
        if (c + 1 < r->heap_n && r->heap[c + 1]->sequence > r->heap[c]->sequence) c++;
        if (r->heap[c]->sequence <= last->sequence) break;
        r->heap[i] = r->heap[c];
        i = c;
    }
    if (r->heap_n) r->heap[i] = last;
    return top;
}

wg_status wgi_run_enqueue(wgi_run *r, wgi_node *n)
{
    if (n->flags & WGI_NODE_QUEUED && n->run == r) return WG_OK;
    if (n->run && n->run != r)
        return wg_raise(WG_EGRAD, "%s (at %s:%d): its graph is being walked by another backward",
                        n->op->name, n->file ? n->file : "?", n->line);
    wg_status s = heap_push(r, n);
    if (s != WG_OK) return s;
    wgi_node_ref(n);
    n->run = r;
    n->flags |= WGI_NODE_QUEUED;
    return WG_OK;
}

/* ---- cotangents --------------------------------------------------------------------------------------------------- */
bool wgi_exclusive(const wg_tensor *t)
{
    return t && !t->node && atomic_load_explicit(&t->refs, memory_order_acquire) == 1 &&
           t->storage && atomic_load_explicit(&t->storage->refs, memory_order_acquire) == 1 &&
           !t->storage->flags && wgi_is_contiguous(t);
}

static bool addable(const wg_tensor *sum, const wg_tensor *d)
{
    return sum->dtype == d->dtype && sum->device.kind == d->device.kind &&
           sum->device.index == d->device.index && wgi_same_shape(sum, d);
}

/* *slot += d; written in place where nobody else sees it. *slot holds one reference. */
wg_status wgi_accumulate(wgi_run *r, wg_tensor **slot, wg_tensor *d)
{
    if (!*slot) {
        *slot = wgi_ref(d);
        return WG_OK;
    }
    if (!r->create_graph && wgi_exclusive(*slot) && addable(*slot, d))
        return wgi_add_into(r->context, *slot, d);
    wg_tensor *sum = wg_add(*slot, d);
    if (wgi_bad(sum)) return wg_error_code();
    wgi_ref(sum);
    wgi_unref(*slot);
    *slot = sum;
    return WG_OK;
}

static bool leaf_waits(const wgi_run *r, const wgi_node *leaf)
{
    return r->n_captures || leaf->hooks;
}

/* A leaf with hooks, or one that wg_grad wants, gathers its cotangent until the end of the run. */
static wgi_waiting *waiting(wgi_run *r, wgi_node *leaf)
{
    for (int64_t i = 0; i < r->n_waiting; i++)
        if (r->waiting[i].leaf == leaf) return &r->waiting[i];
    if (r->n_waiting == r->waiting_capacity) {
        int64_t capacity = r->waiting_capacity ? 2 * r->waiting_capacity : 16;
        wgi_waiting *w = wgi_cpu_alloc((size_t)capacity * sizeof *w);
        if (!w) {
            wg_raise(WG_EMEM, "out of memory in backward");
            return NULL;
        }
        if (r->n_waiting) memcpy(w, r->waiting, (size_t)r->n_waiting * sizeof *w);
        wgi_cpu_free(r->waiting, (size_t)r->waiting_capacity * sizeof *w);
        r->waiting = w;
        r->waiting_capacity = capacity;
    }
    wgi_waiting *w = &r->waiting[r->n_waiting++];
    w->leaf = wgi_node_ref(leaf);
    w->cotangent = NULL;
    return w;
}

/* Notes that the leaf's gradient may share its storage with something; settled at the end of the run. */
static wg_status note_taken(wgi_run *r, wgi_node *leaf)
{
    if (r->n_taken == r->taken_capacity) {
        int64_t capacity = r->taken_capacity ? 2 * r->taken_capacity : 64;
        wgi_node **t = wgi_cpu_alloc((size_t)capacity * sizeof *t);
        if (!t) return wg_raise(WG_EMEM, "out of memory in backward");
        if (r->n_taken) memcpy(t, r->taken, (size_t)r->n_taken * sizeof *t);
        wgi_cpu_free(r->taken, (size_t)r->taken_capacity * sizeof *t);
        r->taken = t;
        r->taken_capacity = capacity;
    }
    r->taken[r->n_taken++] = wgi_node_ref(leaf);
    return WG_OK;
}

static wg_status add_to_leaf(wgi_run *r, wgi_node *leaf, wg_tensor *d)
{
    wgi_leaf_lock(leaf);
    bool first = !leaf->grad;
    wg_status s = wgi_accumulate(r, &leaf->grad, d);
    wgi_leaf_unlock(leaf);
    return first && s == WG_OK ? note_taken(r, leaf) : s;
}

/* Undoes broadcasting and promotion: d in the shape and dtype of the operand. */
static wg_tensor *fit(wg_tensor *d, const wgi_meta *m)
{
    bool fits = d->ndim == m->ndim;
    for (int i = 0; fits && i < m->ndim; i++) fits = d->shape[i] == m->shape[i];
    if (!fits) d = wg_sum_to(d, wgi_dims(m->ndim, m->shape));
    if (!wgi_bad(d) && d->dtype != m->dtype) d = wg_cast(d, (wg_dtype)m->dtype);
    return d;
}

wg_status wgi_deliver(wgi_run *r, wgi_edge e, const wgi_meta *m, wg_tensor *d)
{
    d = fit(d, m);
    if (wgi_bad(d))
        return wg_error_code() ? wg_error_code()
                               : wg_raise(WG_EGRAD, "a gradient rule gave an error");
    wgi_node *n = e.node;
    if (n->flags & WGI_NODE_LEAF) {
        if (!leaf_waits(r, n)) return add_to_leaf(r, n, d);
        wgi_waiting *w = waiting(r, n);
        return w ? wgi_accumulate(r, &w->cotangent, d) : WG_EMEM;
    }
    wg_status s = wgi_run_enqueue(r, n);
    return s == WG_OK ? wgi_accumulate(r, &n->cotangent[e.index], d) : s;
}

/* ---- visiting a node --------------------------------------------------------------------------------------------------- */
wgi_capture *wgi_capture_find(wgi_run *r, const wgi_node *n, int index)
{
    int64_t low = 0, high = r->n_captures; /* sorted by node */
    while (low < high) {
        int64_t mid = (low + high) / 2;
        if ((uintptr_t)r->captures[mid].edge.node < (uintptr_t)n)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < r->n_captures && r->captures[low].edge.node == n; low++)
        if (r->captures[low].edge.index == index) return &r->captures[low];
    return NULL;
}

/* Runs the hooks of output j on *slot. */
static wg_status run_hooks(wgi_node *n, int j, wg_tensor **slot)
{
    for (wgi_hook_entry *h = n->hooks; h && *slot; h = h->next) {
        if (!h->fn || h->output != j) continue;
        wg_tensor *other = h->fn(h->self, *slot);
        if (!other) continue;
        if (wgi_bad(other))
            return wg_error_code() ? wg_error_code() : wg_raise(WG_EGRAD, "a hook gave an error");
        if (!wgi_same_shape(other, *slot) || other->dtype != (*slot)->dtype)
            return wg_raise(WG_ESHAPE, "a hook gave a gradient of another shape or dtype");
        wgi_ref(other);
        wgi_unref(*slot);
        *slot = other;
    }
    return WG_OK;
}

static wg_status capture_outputs(wgi_run *r, wgi_node *n)
{
    for (int j = 0; j < n->n_out; j++) {
        wgi_capture *k = wgi_capture_find(r, n, j);
        if (k && n->cotangent[j]) k->cotangent = wgi_ref(n->cotangent[j]);
    }
    return WG_OK;
}

/* An edge along which a cotangent is wanted. */
static bool edge_wanted(wgi_run *r, wgi_edge e)
{
    if (!e.node) return false;
    if (!r->n_captures) return true;
    if (e.node->flags & WGI_NODE_LEAF) return wgi_capture_find(r, e.node, e.index) != NULL;
    return e.node->run == r && (e.node->flags & WGI_NODE_NEEDED);
}

static bool has_any(const bool *wants, int n)
{
    for (int i = 0; i < n; i++)
        if (wants[i]) return true;
    return false;
}

/* An array of n pointers or flags, on the given space if it fits, else in the innermost scope. */
static void *space_for(void *space, size_t have, size_t want)
{
    return want <= have ? space : wg_scope_alloc(want);
}

static unsigned grad_mask(const wg_op *op, int i)
{
    int last = 0;
    while (last + 1 < WG_MAX_INPUTS && op->in[last + 1]) last++;
    return WG_IN(i < last ? i : last);
}

/* Whether input i gets no cotangent because the row says that it is zero; raises where it says there is none. */
static bool no_gradient(const wg_op *op, int i)
{
    const unsigned none = op->flags & (WG_OP_GRAD_ZERO | WG_OP_GRAD_NONE);
    if (!none && !op->zero_grad && !op->no_grad) return false;
    unsigned bit = grad_mask(op, i);
    if ((op->flags & WG_OP_GRAD_NONE) || (op->no_grad & bit))
        wg_raise(WG_EGRAD, "%s: has no gradient for its input %d", op->name, i);
    return none || ((op->zero_grad | op->no_grad) & bit);
}

typedef struct { /* what a rule works with; small ones on the stack */
    wg_tensor *tensors[32];
    bool flags[32];
} rule_space;

static wg_status run_rule(wgi_run *r, wgi_node *n, bool *wants, bool *placed, wg_tensor **t)
{
    int n_in = n->n_in, n_out = n->n_out;
    wg_tensor **x = t, **dx = x + n_in, **y = dx + n_in;
    for (int i = 0; i < 2 * n_in + n_out; i++) t[i] = NULL;
    wg_status s = wgi_saved_read(r->context, n, r->create_graph, x, y);
    if (s != WG_OK) return s;
    wgi_rule rule = { r->context, r, n, r->create_graph, placed };
    wg_vjp g = { .attr = n->attr,
                 .x = { n_in, x },
                 .y = { n_out, y },
                 .dy = { n_out, n->cotangent },
                 .dx = { n_in, dx },
                 .wants = wants,
                 .random = { n->random[0], n->random[1] },
                 .engine = &rule };
    const wg_op *op = n->op;
    if (op->grad_fused && !r->create_graph)
        op->grad_fused(&g);
    else if (op->grad)
        op->grad(&g);
    else if (op->composite)
        wgi_composite_grad(&g);
    else if (op->grad_fused)
        return wg_raise(WG_EGRAD, "%s: has no second derivative", op->name);
    else
        return wg_raise(WG_EGRAD, "%s: has no gradient", op->name);
    if ((s = r->context->error.code) != WG_OK) return s;
    for (int i = 0; i < n_in && s == WG_OK; i++) {
        if (!wants[i] || placed[i] || !dx[i]) continue;
        s = wgi_deliver(r, n->edges[i], &n->meta[i], dx[i]);
    }
    return s;
}

static wg_status visit_rule(wgi_run *r, wgi_node *n)
{
    rule_space space;
    size_t tensors = (size_t)(2 * n->n_in + n->n_out);
    wg_tensor **t = space_for(space.tensors, sizeof space.tensors, tensors * sizeof *t);
    bool *flags = space_for(space.flags, sizeof space.flags, 2 * (size_t)n->n_in + 1);
    if (!t || !flags) return wg_error_code();
    bool *wants = flags, *placed = flags + n->n_in;
    for (int i = 0; i < n->n_in; i++) {
        wants[i] = edge_wanted(r, n->edges[i]) && !no_gradient(n->op, i);
        placed[i] = false;
    }
    if (r->context->error.code != WG_OK) return r->context->error.code;
    if (!has_any(wants, n->n_in)) return WG_OK;
    if ((n->op->flags & WG_OP_PARTIAL) && !r->create_graph) return wgi_write_through_view(r, n);
    return run_rule(r, n, wants, placed, t);
}

/* One node: hooks, captures, its rule in a scope of its own; then it lets go of what it held. */
static wg_status visit(wgi_run *r, wgi_node *n)
{
    wgi_context *c = r->context;
    const wg_scope scope = wgi_scope_open(c);
    wg_status s = scope.id ? WG_OK : WG_EMEM;
    c->now.grad = r->create_graph;
    c->now.autocast = 0;
    for (int j = 0; j < n->n_out && n->hooks && s == WG_OK; j++)
        s = run_hooks(n, j, &n->cotangent[j]);
    if (s == WG_OK && (n->flags & WGI_NODE_CAPTURED)) s = capture_outputs(r, n);
    if (n->n_out)
        c->now.device =
            n->meta[n->n_in].device; /* what a rule makes lies where its cotangents do */
    if (s == WG_OK) s = visit_rule(r, n);
    for (int j = 0; j < n->n_out; j++) {
        wgi_unref(n->cotangent[j]);
        n->cotangent[j] = NULL;
    }
    if (!r->retain) wgi_saved_release(n);
    wgi_scope_close(c, scope);
    return s;
}

static wg_status finish_leaf(wgi_run *r, wgi_waiting *w)
{
    wgi_node *leaf = w->leaf;
    wg_status s = run_hooks(leaf, 0, &w->cotangent);
    if (s != WG_OK || !w->cotangent) return s;
    if (r->n_captures) {
        wgi_capture *k = wgi_capture_find(r, leaf, 0);
        if (k) k->cotangent = wgi_ref(w->cotangent);
        return WG_OK;
    }
    s = add_to_leaf(r, leaf, w->cotangent);
    wgi_unref(w->cotangent);
    w->cotangent = NULL;
    return s;
}

/* A leaf's gradient is its own: not a broadcast, not somebody else's tensor. */
static wg_status own_gradient(wgi_run *r, wgi_node *leaf)
{
    wgi_leaf_lock(leaf);
    wg_tensor *g = leaf->grad;
    wg_status s = WG_OK;
    if (g && !r->create_graph && !wgi_exclusive(g)) {
        wg_tensor *copy = wgi_tensor_make(r->context, (wg_dtype)g->dtype, g->device, wgi_shape(g));
        if (copy) s = wgi_copy_into(r->context, copy, g);
        if (copy && s == WG_OK) {
            wgi_unref(g);
            leaf->grad = copy;
        } else {
            wgi_unref(copy);
            s = wg_error_code();
        }
    }
    wgi_leaf_unlock(leaf);
    return s;
}

static wg_status leaf_hooks(wgi_run *r, wgi_node *leaf)
{
    (void)r;
    for (wgi_hook_entry *h = leaf->hooks; h; h = h->next)
        if (h->leaf && leaf->grad) h->leaf(h->self, leaf->grad);
    return wg_error_code();
}

/* ---- the run ----------------------------------------------------------------------------------------------------------- */
wg_status wgi_run_walk(wgi_run *r)
{
    wg_status s = WG_OK;
    while (r->heap_n && s == WG_OK) {
        wgi_node *n = heap_pop(r);
        n->flags &= ~(unsigned)WGI_NODE_QUEUED;
        s = visit(r, n);
        if (!r->n_captures) n->run = NULL; /* wg_grad clears its marks at the end */
        wgi_node_unref(n);
    }
    for (int64_t i = 0; i < r->n_waiting && s == WG_OK; i++) s = finish_leaf(r, &r->waiting[i]);
    return s;
}

wg_status wgi_run_settle(wgi_run *r, wg_status s)
{
    for (int64_t i = 0; i < r->n_taken; i++)
        if (s == WG_OK) s = own_gradient(r, r->taken[i]);
    for (int64_t i = 0; i < r->n_waiting && s == WG_OK && !r->n_captures; i++)
        s = leaf_hooks(r, r->waiting[i].leaf);
    while (r->heap_n) { /* after an error */
        wgi_node *n = heap_pop(r);
        n->flags &= ~(unsigned)WGI_NODE_QUEUED;
        n->run = NULL;
        for (int j = 0; j < n->n_out; j++) {
            wgi_unref(n->cotangent[j]);
            n->cotangent[j] = NULL;
        }
        wgi_node_unref(n);
    }
    wgi_parted_drop(r);
    for (int64_t i = 0; i < r->n_taken; i++) wgi_node_unref(r->taken[i]);
    for (int64_t i = 0; i < r->n_waiting; i++) {
        wgi_unref(r->waiting[i].cotangent);
        wgi_node_unref(r->waiting[i].leaf);
    }
    wgi_cpu_free(r->heap, (size_t)r->heap_capacity * sizeof *r->heap);
    wgi_cpu_free(r->taken, (size_t)r->taken_capacity * sizeof *r->taken);
    wgi_cpu_free(r->waiting, (size_t)r->waiting_capacity * sizeof *r->waiting);
    return s;
}

/* The cotangent of y: the given one, or 1 where y has one element. */
static wg_tensor *seed(wg_tensor *y, wg_tensor *dy, const char *what)
{
    if (!dy) {
        if (y->numel == 1) return wg_ones_like(y);
        return wg_fail(WG_EGRAD,
                       "%s: the output has %lld elements; it needs a cotangent of its shape", what,
                       (long long)y->numel);
    }
    if (wgi_refuse(dy, what)) return &wgi_error_tensor;
    if (!wgi_same_shape(y, dy)) {
        char a[160], b[160];
        wgi_tensor_text(a, sizeof a, y);
        wgi_tensor_text(b, sizeof b, dy);
        return wg_fail(WG_ESHAPE, "%s: the cotangent is %s, the output %s", what, b, a);
    }
    return dy;
}

wg_status wgi_run_seed(wgi_run *r, wg_tensor *y, wg_tensor *dy, const char *what)
{
    if (wgi_refuse(y, what)) return wg_error_code();
    dy = seed(y, dy, what);
    if (wgi_bad(dy)) return wg_error_code();
    if (!y->node) return WG_OK;
    wgi_meta m = { .dtype = y->dtype, .ndim = y->ndim, .device = y->device, .shape = y->shape };
    return wgi_deliver(r, (wgi_edge) { y->node, y->output }, &m, dy);
}

wg_status wg_backward_call(wg_backward_args a)
{
    if (wgi_refuse(a.loss, "backward") || wg_error_code()) return wg_error_code();
    if (!a.loss->node)
        return wg_raise(WG_EGRAD, "backward: the loss depends on nothing that requires a gradient");
    wgi_run r = { .context = wgi_ctx(),
                  .create_graph = a.create_graph,
                  .retain = a.retain_graph || a.create_graph };
    wg_scope scope = (wg_scope_push)();
    r.context->now.grad = a.create_graph;
    r.context->now.autocast = 0;
    wg_status s = wgi_run_seed(&r, a.loss, a.cotangent, "backward");
    if (s == WG_OK) s = wgi_run_walk(&r);
    (wg_scope_return)(scope, NULL);
    return wgi_run_settle(&r, s);
}
