/* Nodes: made by the door, destroyed without recursion. */
#include "autograd/node.h"

/* ---- sequence numbers ------------------------------------------------------------------------------------- */
enum {
    NUMBERS = 64
}; /* that a thread takes at once: the counter is a cache line that all threads share */
static atomic_uint_fast64_t sequence = 1;
static _Thread_local uint64_t next_number WGI_TLS, numbers_end WGI_TLS;

/* A number above `above`, the largest of the inputs'. If those are of another thread and too large, a fresh block has
 * one: it lies above every block taken before. */
static inline uint64_t number_above(uint64_t above)
{
    if (next_number == numbers_end || next_number <= above) {
        next_number = atomic_fetch_add_explicit(&sequence, NUMBERS, memory_order_relaxed);
        numbers_end = next_number + NUMBERS;
    }
    return next_number++;
}

/* ---- making ----------------------------------------------------------------------------------------------- */
static bool is_variadic(const wg_op *op, int i)
{
    const char *name = op->in[i];
    return name && name[0] && name[strlen(name) - 1] == '*';
}

/* The bit of input i in masks: a variadic input's bit means all of it. */
static unsigned input_bit(const wg_op *op, int64_t i)
{
    if (i < WG_MAX_INPUTS && op->in[i] && !is_variadic(op, (int)i)) return WG_IN(i);
    int last = WG_MAX_INPUTS - 1;
    while (last > 0 && !op->in[last]) last--;
    return WG_IN(last);
}

/* Input i is worth keeping: somebody whose gradient needs it wants one. */
static bool keeps_input(const wg_op *op, wg_list in, int64_t i)
{
    unsigned bit = input_bit(op, i);
    if (!(op->saves & bit)) return false;
    int named = __builtin_ctz(bit);
    unsigned by = op->needed_by[named];
    if (!by) return true;
    for (int64_t j = 0; j < in.n; j++)
        if ((by & input_bit(op, j)) && in.t[j] && in.t[j]->node) return true;
    return false;
}

static inline int64_t *put_meta(wgi_meta *m, const wg_tensor *t, int64_t *dims)
{
    const int ndim = t ? t->ndim : 0;
    m->dtype = t ? t->dtype : 0;
    m->ndim = (uint8_t)ndim;
    m->device = t ? t->device : wg_cpu();
    m->shape = dims;
    if (t) wgi_copy_dims(dims, t->shape, ndim);
    return dims + ndim;
}

typedef struct { /* how many of each the node's block must hold */
    int64_t in, out, saved, dims;
    size_t attr;
} counts;

static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* One block: the struct, then attr, edges, metas, saved, cotangents, dims. NULL and WG_EMEM on failure. Every field is
 * set by name: a memset of the struct costs as much as a tenth of a small op. */
static inline wgi_node *node_alloc(wgi_context *c, const counts *k)
{
    const size_t n_in = (size_t)k->in, n_out = (size_t)k->out;
    const size_t attr = round16(sizeof(wgi_node)), edges = attr + round16(k->attr);
    const size_t metas = edges + n_in * sizeof(wgi_edge);
    const size_t saved = metas + (n_in + n_out) * sizeof(wgi_meta);
    const size_t cts = saved + (size_t)k->saved * sizeof(wgi_saved);
    const size_t dims = cts + n_out * sizeof(wg_tensor *);
    const size_t bytes = dims + (size_t)k->dims * sizeof(int64_t);
    char *p = wgi_cpu_alloc(bytes);
    if (!p) {
        wg_raise(WG_EMEM, "out of memory for the tape");
        return NULL;
    }
    wgi_node *n = (wgi_node *)p;
    atomic_init(&n->refs, 1);
    n->flags = 0;
    n->op = NULL;
    n->sequence = 0;
    n->bytes = bytes;
    n->n_in = (int)k->in;
    n->n_out = (int)k->out;
    n->n_saved = 0;
    n->edges = (wgi_edge *)(p + edges);
    n->meta = (wgi_meta *)(p + metas);
    n->saved = (wgi_saved *)(p + saved);
    n->cotangent = (wg_tensor **)(p + cts);
    n->attr = k->attr ? p + attr : NULL;
    n->random[0] = n->random[1] = 0;
    n->segment = NULL;
    n->first_slot = 0;
    n->hooks = NULL;
    n->run = NULL;
    n->file = c->file;
    n->line = c->line;
    n->grad = NULL;
    atomic_flag_clear_explicit(&n->busy, memory_order_relaxed);
    n->meta[0].shape = (int64_t *)(p + dims); /* where the first one goes */
    return n;
}

wgi_node *wgi_leaf_new(wgi_context *c, const wg_tensor *t)
{
    wgi_node *n = node_alloc(c, &(counts) { .out = 1, .dims = t->ndim });
    if (!n) return NULL;
    n->flags = WGI_NODE_LEAF;
    n->cotangent[0] = NULL;
    put_meta(&n->meta[0], t, (int64_t *)n->meta[0].shape);
    return n;
}

/* ---- destroying ----------------------------------------------------------------------------------------------- */
static void free_hooks(wgi_hook_entry *h)
{
    while (h) {
        wgi_hook_entry *next = h->next;
        wgi_cpu_free(h, sizeof *h);
        h = next;
    }
}

static _Thread_local wgi_node *dead
    WGI_TLS; /* nodes to be destroyed by the call further up the stack */
static _Thread_local bool destroying WGI_TLS;

/* Releasing what a node holds may bring other nodes to 0: they are put on the list, not recursed into. */
void wgi_node_unref(wgi_node *n)
{
    if (!n) return;
    /* Who holds the only reference needs no exchange. */
    if (atomic_load_explicit(&n->refs, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
        return;
    n->next_dead = dead;
    dead = n;
    if (destroying) return;
    destroying = true;
    while (dead) {
        wgi_node *d = dead;
        dead = d->next_dead;
        wgi_saved_release(d);
        if (d->segment) wgi_segment_unref(d->segment);
        for (int i = 0; i < d->n_in; i++) wgi_node_unref(d->edges[i].node);
        for (int i = 0; i < d->n_out; i++) wgi_unref(d->cotangent[i]);
        wgi_unref(d->grad);
        free_hooks(d->hooks);
        wgi_cpu_free(d, d->bytes);
    }
    destroying = false;
}

/* ---- recording -------------------------------------------------------------------------------------------------- */
static wg_status keep(wgi_context *c, wgi_saved *s, int operand, wg_tensor *t, bool detached)
{
    s->operand = operand;
    s->version = t->storage ? atomic_load_explicit(&t->storage->version, memory_order_relaxed) : 0;
    if (!detached) {
        s->tensor = wgi_ref(t);
        return WG_OK;
    }
    s->tensor = wgi_tensor_make_view(c, t, wgi_shape(t), wgi_strides(t), t->offset);
    return s->tensor ? WG_OK : WG_EMEM;
}

/* Saves the row's operands. An output is kept without its edge (else it would own itself); so is everything that goes
 * into a segment's slot, which must not hold the graph of the refill. */
static wg_status save_operands(wgi_context *c, wgi_node *n, wg_list in, wg_tensor **y)
{
    const wg_op *op = n->op;
    bool detached = c->segment != NULL;
    int k = 0;
    for (int64_t i = 0; i < in.n && (op->saves & 0xffff); i++)
        if (in.t[i] && keeps_input(op, in, i)) {
            if (keep(c, &n->saved[k], (int)i, in.t[i], detached) != WG_OK) break;
            k++;
        }
    for (int j = 0; j < n->n_out && j < 16 && (op->saves >> 16); j++)
        if ((op->saves & WG_OUT(j)) && y[j]) {
            if (keep(c, &n->saved[k], ~j, y[j], true) != WG_OK) break;
            k++;
        }
    int kept = k;
    n->n_saved = kept;
    const bool failed = c->error.code == WG_EMEM;
    if (failed || (c->segment && wgi_segment_save(c, n, n->saved, kept))) {
        for (int i = 0; i < kept; i++) { /* in the slots, or for later */
            wgi_unref(n->saved[i].tensor);
            n->saved[i].tensor = NULL;
        }
        return failed ? WG_EMEM : WG_OK;
    }
    for (int i = 0; i < kept; i++)
        atomic_fetch_add_explicit(&n->saved[i].tensor->saves, 1, memory_order_relaxed);
    return WG_OK;
}

static inline counts count(const wg_op *op, wg_list in, wg_tensor **y, int n_out)
{
    counts k = { .in = in.n, .out = n_out, .attr = op->attr_size };
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i]) k.dims += in.t[i]->ndim;
    for (int j = 0; j < n_out; j++)
        if (y[j]) k.dims += y[j]->ndim;
    if (!op->saves) return k;
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i]) k.saved += keeps_input(op, in, i);
    for (int j = 0; j < n_out && j < 16; j++)
        if (y[j]) k.saved += (op->saves & WG_OUT(j)) != 0;
    return k;
}

wg_status wgi_record(wgi_context *c, const wg_op *op, wg_list in, const void *attr, wg_tensor **y,
                     int n_out, const uint64_t random[2])
{
    const counts k = count(op, in, y, n_out);
    wgi_node *n = node_alloc(c, &k);
    if (!n) return WG_EMEM;
    n->op = op;
    n->random[0] = random[0];
    n->random[1] = random[1];
    if (op->attr_size) memcpy(n->attr, attr, op->attr_size);
    int64_t *dims = (int64_t *)n->meta[0].shape;
    uint64_t newest = 0;
    for (int64_t i = 0; i < in.n; i++) {
        wgi_node *from = in.t[i] ? in.t[i]->node : NULL;
        n->edges[i].node = wgi_node_ref(from);
        n->edges[i].index = in.t[i] ? in.t[i]->output : 0;
        if (from && from->sequence > newest) newest = from->sequence;
        dims = put_meta(&n->meta[i], in.t[i], dims);
    }
    n->sequence = number_above(newest);
    for (int j = 0; j < n_out; j++) {
        n->cotangent[j] = NULL;
        dims = put_meta(&n->meta[in.n + j], y[j], dims);
    }
    wg_status s = (op->saves || c->segment) ? save_operands(c, n, in, y) : WG_OK;
    int holders = 0; /* its outputs hold it, one reference each; nobody else knows it yet */
    for (int j = 0; j < n_out && s == WG_OK; j++)
        if (y[j] && wgi_is_float(y[j]->dtype)) {
            y[j]->node = n;
            y[j]->output = j;
            holders++;
        }
    if (holders)
        atomic_store_explicit(&n->refs, holders, memory_order_relaxed);
    else
        wgi_node_unref(n);
    return s;
}

/* ---- reading what was saved --------------------------------------------------------------------------------------- */
static wg_status check_version(const wgi_node *n, const wgi_saved *s, const wg_tensor *t)
{
    if (!t->storage) return WG_OK;
    unsigned now = atomic_load_explicit(&t->storage->version, memory_order_relaxed);
    if (now == s->version) return WG_OK;
    return wg_raise(
        WG_EGRAD,
        "%s (at %s:%d) saved %s %d for its gradient, and %s (at %s:%d) changed it in place since",
        n->op->name, n->file ? n->file : "?", n->line, s->operand >= 0 ? "input" : "output",
        s->operand >= 0 ? s->operand : ~s->operand,
        t->storage->writer ? t->storage->writer : "something",
        t->storage->writer_file ? t->storage->writer_file : "?", t->storage->writer_line);
}

/* A handle on t's data that continues at edge e. */
static wg_tensor *attached(wgi_context *c, wg_tensor *t, wgi_edge e)
{
    wg_tensor *v = wgi_tensor_view(c, t, wgi_shape(t), wgi_strides(t), t->offset);
    if (wgi_bad(v)) return v;
    v->node = wgi_node_ref(e.node);
    v->output = e.index;
    return v;
}

wg_status wgi_saved_read(wgi_context *c, wgi_node *n, bool attach, wg_tensor **x, wg_tensor **y)
{
    if ((n->flags & WGI_NODE_FREED) && n->n_saved > 0)
        return wg_raise(
            WG_EGRAD,
            "%s (at %s:%d): backward a second time, but what it saved was freed by the first; "
            "use .retain_graph = true the first time",
            n->op->name, n->file ? n->file : "?", n->line);
    for (int k = 0; k < n->n_saved; k++) {
        wgi_saved *s = &n->saved[k];
        wg_tensor *t = s->tensor;
        if (!t) {
            t = wgi_segment_get(c, n, k);
            if (!t) return wg_error_code();
        } else if (check_version(n, s, t) != WG_OK) {
            return WG_EGRAD;
        }
        bool input = s->operand >= 0;
        wgi_edge e = input ? n->edges[s->operand] : (wgi_edge) { n, ~s->operand };
        if (attach && e.node && t->node != e.node) t = attached(c, t, e);
        if (wgi_bad(t)) return WG_EMEM;
        if (input)
            x[s->operand] = t;
        else
            y[~s->operand] = t;
    }
    return WG_OK;
}

void wgi_saved_release(wgi_node *n)
{
    for (int k = 0; k < n->n_saved; k++) {
        wg_tensor *t = n->saved[k].tensor;
        if (!t) continue;
        atomic_fetch_sub_explicit(&t->saves, 1, memory_order_relaxed);
        n->saved[k].tensor = NULL;
        wgi_unref(t);
    }
    if (n->segment && !(n->flags & WGI_NODE_FREED)) wgi_segment_done(n);
    n->flags |= WGI_NODE_FREED;
}

__attribute__((constructor)) static void install(void)
{
    wgi_node_release = wgi_node_unref;
}
