/* Cotangents of views that show parts of a tensor: they are written into the whole's cotangent through the same view, or
 * were made there in the first place. */
#include "autograd/run.h"
#include "wengert/ops.h"

/* How the outputs of a view's node lie in its input. */
typedef struct {
    wg_tensor *whole;
    wg_spec space[WG_MAX_OUTPUTS];
    const wg_spec *out;
} parts;

static wg_status parts_of(parts *p, const wgi_node *n, wg_tensor *whole)
{
    p->whole = whole;
    wg_infer c = {
        .attr = n->attr, .in = { 1, &p->whole }, .n_out = n->n_out, .out = p->space, .random = -1
    };
    const wg_status s = n->op->infer(&c);
    p->out = c.out;
    return s;
}

static wg_tensor *part(wgi_run *r, const parts *p, int j)
{
    return wgi_tensor_view(r->context, p->whole, p->out[j].shape, p->out[j].strides,
                           p->whole->offset + p->out[j].offset);
}

/* ---- parts as places ---------------------------------------------------------------------------------------------- */
/* The whole whose parts are given out as places, for a node of a view whose outputs cover its input; NULL: none is, and none
 * can be. */
static wgi_parted *parted_at(wgi_run *r, wgi_node *n)
{
    for (int i = 0; i < r->n_parted; i++)
        if (r->parted[i].node == n) return &r->parted[i];
    int64_t elements = 0;
    for (int j = 0; j < n->n_out; j++) elements += wgi_meta_elements(&n->meta[n->n_in + j]);
    if (n->n_out > WGI_PARTS || elements != wgi_meta_elements(&n->meta[0]) ||
        r->n_parted == WGI_PARTED)
        return NULL;
    wg_tensor *whole = wgi_place_new(r, &n->meta[0], false);
    if (wgi_bad(whole)) return NULL;
    r->parted[r->n_parted] = (wgi_parted) { .node = n, .whole = wgi_ref(whole) };
    return &r->parted[r->n_parted++];
}

/* The whole of n, of which the list lets go; whole NULL: no part of it was given out. */
static wgi_parted take_parted(wgi_run *r, const wgi_node *n)
{
    for (int i = 0; i < r->n_parted; i++)
        if (r->parted[i].node == n) {
            const wgi_parted p = r->parted[i];
            r->parted[i] = r->parted[--r->n_parted];
            wgi_own(r->context, p.whole);
            return p;
        }
    return (wgi_parted) { .whole = NULL };
}

void wgi_parted_drop(wgi_run *r)
{
    while (r->n_parted) wgi_unref(r->parted[--r->n_parted].whole);
}

static wg_tensor *shown(wgi_run *r, const wgi_node *n, int j, wg_tensor *x)
{
    parts p;
    return parts_of(&p, n, x) == WG_OK ? part(r, &p, j) : &wgi_error_tensor;
}

/* Bytes that kernels take at once, at addresses that are whole multiples. */
enum { CHUNK = 16 };

/* A kernel is as fast at `place` as in a new tensor laid out as `wanted` says: runs of elements are along the same axis, and
 * begin at whole chunks where they do there. */
static bool suits(const wg_tensor *place, const wg_spec *wanted)
{
    const int64_t size = (int64_t)wg_dtype_size((wg_dtype)place->dtype);
    const wg_dims dense = wgi_row_major(&wanted->shape),
                  *strides = wanted->strides.n ? &wanted->strides : &dense;
    bool chunks = true;
    for (int a = 0; a < place->ndim; a++) {
        if (place->shape[a] == 1) continue;
        if ((place->strides[a] == 1) != (strides->d[a] == 1)) return false;
        if (strides->d[a] == 1) continue;
        chunks = chunks && strides->d[a] * size % CHUNK == 0;
        if (chunks && place->strides[a] * size % CHUNK != 0) return false;
    }
    return !chunks || place->offset * size % CHUNK == 0;
}

enum { MOST_TURNS = 4 };

wg_tensor *wgi_part_place(wgi_run *r, wgi_edge e, const wg_spec *wanted)
{
    wgi_node *turned[MOST_TURNS];
    int turns = 0;
    if (r->n_captures || r->create_graph) return NULL;
    for (; e.node->op == &wgi_op_transpose || e.node->op == &wgi_op_permute; e = e.node->edges[0]) {
        if (turns == MOST_TURNS || !e.node->edges[0].node || e.node->cotangent[0]) return NULL;
        turned[turns++] = e.node;
    }
    wgi_node *n = e.node;
    if (!n->op || !(n->op->flags & WG_OP_PARTIAL) || !n->edges[0].node || n->cotangent[e.index])
        return NULL;
    wgi_parted *p = parted_at(r, n);
    if (!p || p->given >> e.index & 1) return wg_error_code() ? &wgi_error_tensor : NULL;
    wg_tensor *place = shown(r, n, e.index, p->whole);
    while (turns > 0 && !wgi_bad(place)) place = shown(r, turned[--turns], 0, place);
    if (wgi_bad(place)) return place;
    if (!suits(place, wanted)) return NULL;
    p->given |= 1ull << e.index;
    return place;
}

/* ---- a partial view's node ------------------------------------------------------------------------------------------ */
/* The tensor that gathers the cotangent at edge e, ready to be written in part: existing and exclusive, or new; zeros
 * unless all of it will be written. *fresh: it is new, to be delivered. */
static wg_tensor *gathering(wgi_run *r, wgi_edge e, const wgi_meta *m, bool covered, bool *fresh)
{
    wgi_node *n = e.node;
    *fresh = false;
    if (!(n->flags & WGI_NODE_LEAF) && n->run == r && wgi_exclusive(n->cotangent[e.index]))
        return n->cotangent[e.index];
    *fresh = true;
    return wgi_place_new(r, m, !covered);
}

static bool lies_at(const wg_tensor *d, const wg_tensor *to)
{
    if (d->storage != to->storage || d->offset != to->offset) return false;
    for (int a = 0; a < d->ndim; a++)
        if (d->shape[a] != 1 && d->strides[a] != to->strides[a]) return false;
    return true;
}

/* What was made in its place has become another tensor: a hook's, or a sum with another use's. Somebody may still see what
 * lies there. */
static bool any_replaced(wgi_run *r, const wgi_node *n, const parts *p, uint64_t given)
{
    for (int j = 0; j < n->n_out; j++)
        if (given >> j & 1 && !(n->cotangent[j] && lies_at(n->cotangent[j], part(r, p, j))))
            return true;
    return false;
}

/* d, NULL: zero, into its part. */
static wg_status write_part(wgi_run *r, wg_tensor *to, wg_tensor *d, bool add)
{
    if (wgi_bad(to)) return wg_error_code();
    if (!d) d = wg_cast(wg_zeros(wgi_shape(to)), (wg_dtype)to->dtype);
    if (wgi_bad(d)) return wg_error_code();
    if (add) return wgi_run_into(r->context, &wgi_op_add, WG_LIST(to, d), NULL, &to, 1, false);
    return lies_at(d, to) ? WG_OK : wgi_copy_into(r->context, to, d);
}

wg_status wgi_write_through_view(wgi_run *r, wgi_node *n)
{
    const wgi_meta *m = &n->meta[0];
    wgi_parted made = take_parted(r, n);
    parts p;
    wg_status s = WG_OK;
    bool fresh = true;
    if (made.whole && (s = parts_of(&p, n, made.whole)) == WG_OK &&
        any_replaced(r, n, &p, made.given))
        made.whole = NULL;
    if (s == WG_OK && !made.whole) {
        int64_t written = 0;
        for (int j = 0; j < n->n_out; j++)
            if (n->cotangent[j]) written += n->cotangent[j]->numel;
        wg_tensor *whole = gathering(r, n->edges[0], m, written == wgi_meta_elements(m), &fresh);
        s = wgi_bad(whole) ? wg_error_code() : parts_of(&p, n, whole);
    }
    for (int j = 0; j < n->n_out && s == WG_OK; j++)
        if (n->cotangent[j] || made.whole)
            s = write_part(r, part(r, &p, j), n->cotangent[j], !fresh);
    return s == WG_OK && fresh ? wgi_deliver(r, n->edges[0], m, p.whole) : s;
}
