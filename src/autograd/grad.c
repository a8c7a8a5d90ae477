/* wg_grad: cotangents at chosen tensors; leaves' gradients stay untouched. */
#include "autograd/run.h"

#include <stdlib.h>

static int by_node(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const wgi_capture *)a)->edge.node,
              y = (uintptr_t)((const wgi_capture *)b)->edge.node;
    return (x > y) - (x < y);
}

/* One capture per wanted tensor. */
static wg_status set_captures(wgi_run *r, wg_list x, bool allow_unused)
{
    for (int64_t i = 0; i < x.n; i++) {
        if (wgi_refuse(x.t[i], "grad")) return wg_error_code();
        if (!x.t[i]->node && !allow_unused)
            return wg_raise(WG_EGRAD, "grad: input %lld requires no gradient", (long long)i);
        if (!x.t[i]->node) continue;
        r->captures[r->n_captures++] =
            (wgi_capture) { .edge = { x.t[i]->node, x.t[i]->output }, .wanted = i };
    }
    qsort(r->captures, (size_t)r->n_captures, sizeof *r->captures, by_node);
    return WG_OK;
}

/* ---- marking: which nodes lead from an output to a wanted input -------------------------------------------------- */
typedef struct {
    wgi_node **n; /* visited, one reference each */
    int64_t count, capacity;
    uint64_t first; /* nodes below this sequence number lead to no wanted input */
} visited;

static wg_status visited_add(visited *v, wgi_run *r, wgi_node *n)
{
    if (n->run == r || n->sequence < v->first) return WG_OK;
    if (n->run) return wg_raise(WG_EGRAD, "grad: the graph is being walked by another backward");
    if (v->count == v->capacity) {
        int64_t capacity = v->capacity ? 2 * v->capacity : 256;
        wgi_node **p = wgi_cpu_alloc((size_t)capacity * sizeof *p);
        if (!p) return wg_raise(WG_EMEM, "out of memory in backward");
        if (v->count) memcpy(p, v->n, (size_t)v->count * sizeof *p);
        wgi_cpu_free(v->n, (size_t)v->capacity * sizeof *p);
        v->n = p;
        v->capacity = capacity;
    }
    n->run = r;
    n->flags &= ~(unsigned)(WGI_NODE_NEEDED | WGI_NODE_CAPTURED);
    v->n[v->count++] = wgi_node_ref(n);
    return WG_OK;
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t x = (*(wgi_node *const *)a)->sequence, y = (*(wgi_node *const *)b)->sequence;
    return (x > y) - (x < y);
}

static bool is_captured(wgi_run *r, const wgi_node *n)
{
    for (int j = 0; j < n->n_out; j++)
        if (wgi_capture_find(r, n, j)) return true;
    return false;
}

static uint64_t first_wanted(const wgi_run *r)
{
    uint64_t first = UINT64_MAX;
    for (int64_t k = 0; k < r->n_captures; k++)
        if (r->captures[k].edge.node->sequence < first) first = r->captures[k].edge.node->sequence;
    return first; /* a leaf's is 0 */
}

/* Producers come first by sequence, so one pass in that order settles what is needed. */
static wg_status mark(wgi_run *r, wg_list y, visited *v)
{
    wg_status s = WG_OK;
    for (int64_t i = 0; i < y.n && s == WG_OK; i++) {
        if (wgi_refuse(y.t[i], "grad")) return wg_error_code();
        if (y.t[i]->node && !(y.t[i]->node->flags & WGI_NODE_LEAF))
            s = visited_add(v, r, y.t[i]->node);
    }
    for (int64_t k = 0; k < v->count && s == WG_OK; k++)
        for (int i = 0; i < v->n[k]->n_in && s == WG_OK; i++) {
            wgi_node *p = v->n[k]->edges[i].node;
            if (p && !(p->flags & WGI_NODE_LEAF)) s = visited_add(v, r, p);
        }
    if (s != WG_OK) return s;
    if (v->count) qsort(v->n, (size_t)v->count, sizeof *v->n, by_sequence);
    for (int64_t k = 0; k < v->count; k++) {
        wgi_node *n = v->n[k];
        if (is_captured(r, n)) n->flags |= WGI_NODE_CAPTURED | WGI_NODE_NEEDED;
        for (int i = 0; i < n->n_in; i++) {
            wgi_edge e = n->edges[i];
            bool leaf = e.node && (e.node->flags & WGI_NODE_LEAF);
            if (leaf ? wgi_capture_find(r, e.node, e.index) != NULL
                     : e.node && (e.node->flags & WGI_NODE_NEEDED))
                n->flags |= WGI_NODE_NEEDED;
        }
    }
    return WG_OK;
}

static void unmark(visited *v)
{
    for (int64_t k = 0; k < v->count; k++) {
        v->n[k]->run = NULL;
        v->n[k]->flags &= ~(unsigned)(WGI_NODE_NEEDED | WGI_NODE_CAPTURED);
        wgi_node_unref(v->n[k]);
    }
    wgi_cpu_free(v->n, (size_t)v->capacity * sizeof *v->n);
}

/* ---- results ----------------------------------------------------------------------------------------------------------- */
/* The same tensor may be wanted twice: find the capture that holds its cotangent. */
static wg_tensor *result(wgi_run *r, wg_tensor *x)
{
    for (int64_t k = 0; x->node && k < r->n_captures; k++) {
        const wgi_capture *c = &r->captures[k];
        if (c->edge.node == x->node && c->edge.index == x->output && c->cotangent)
            return c->cotangent;
    }
    return NULL;
}

static wg_status hand_out(wgi_run *r, wg_list x, unsigned flags, wg_list dx)
{
    for (int64_t i = 0; i < x.n; i++) {
        wg_tensor *d = result(r, x.t[i]);
        if (!d && !(flags & WG_ALLOW_UNUSED))
            return wg_raise(WG_EGRAD, "grad: no output depends on input %lld", (long long)i);
        dx.t[i] = d ? wgi_own(r->context, wgi_ref(d)) : NULL;
    }
    return WG_OK;
}

static wg_status seeds(wgi_run *r, wg_list y, wg_list dy)
{
    wg_status s = WG_OK;
    for (int64_t j = 0; j < y.n && s == WG_OK; j++) {
        const wgi_node *n = y.t[j]->node;
        bool leads =
            n && (n->flags & WGI_NODE_LEAF ? wgi_capture_find(r, n, 0) != NULL : n->run == r);
        if (leads) s = wgi_run_seed(r, y.t[j], dy.n ? dy.t[j] : NULL, "grad");
    }
    return s;
}

wg_status(wg_grad)(wg_list y, wg_list x, wg_list dy, unsigned flags, wg_list dx)
{
    for (int64_t i = 0; dx.t && i < dx.n; i++) dx.t[i] = &wgi_error_tensor;
    if (wg_error_code()) return wg_error_code();
    if ((y.n && !y.t) || (x.n && !x.t) || (dy.n && !dy.t) || (dx.n && !dx.t))
        return wg_raise(WG_EARG, "grad: a list has a length and no tensors");
    if (dx.n != x.n)
        return wg_raise(WG_EARG, "grad: %lld inputs, room for %lld results", (long long)x.n,
                        (long long)dx.n);
    if (dy.n && dy.n != y.n)
        return wg_raise(WG_EARG, "grad: %lld outputs, %lld cotangents", (long long)y.n,
                        (long long)dy.n);
    wgi_run r = { .context = wgi_ctx(), .create_graph = flags & WG_CREATE_GRAPH };
    r.retain = flags & (WG_CREATE_GRAPH | WG_RETAIN_GRAPH);
    size_t bytes = (size_t)(x.n ? x.n : 1) * sizeof *r.captures;
    r.captures = wgi_cpu_alloc(bytes);
    if (!r.captures) return wg_raise(WG_EMEM, "out of memory in backward");
    visited v = { 0 };
    wg_scope scope = (wg_scope_push)();
    r.context->now.grad = r.create_graph;
    r.context->now.autocast = 0;
    wg_status s = set_captures(&r, x, flags & WG_ALLOW_UNUSED);
    if (s == WG_OK && r.n_captures) {
        v.first = first_wanted(&r);
        s = mark(&r, y, &v);
        if (s == WG_OK) s = seeds(&r, y, dy);
        if (s == WG_OK) s = wgi_run_walk(&r);
    }
    (wg_scope_return)(scope, NULL);
    s = wgi_run_settle(&r, s);
    unmark(&v);
    if (s == WG_OK) s = hand_out(&r, x, flags, dx);
    for (int64_t k = 0; k < r.n_captures; k++) wgi_unref(r.captures[k].cotangent);
    wgi_cpu_free(r.captures, bytes);
    return s;
}
