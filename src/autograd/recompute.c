/* Recomputed segments: their nodes stand in the ordinary tape with empty saved slots, which one recomputation fills on
 * first use. After Chen et al. 2016, arXiv:1604.06174. */
#include "autograd/node.h"

typedef enum { RECORD, REFILL, DISCARD } segment_mode;

typedef struct {       /* one saved tensor of one node */
    wg_tensor *tensor; /* one reference; NULL: empty */
    unsigned version;
    uint8_t dtype, ndim;
    int64_t shape[WG_MAX_DIMS];
} slot;

typedef struct {       /* an input of the segment: kept, or a slot of the segment around it */
    wg_tensor *tensor; /* one reference */
    unsigned version;
    wgi_segment *outer;
    int64_t outer_slot;
    bool requires_grad;
} segment_input;

struct wgi_segment {
    atomic_int refs;
    segment_mode mode;
    bool filled;
    wg_fn fn;
    void *self; /* a copy */
    size_t self_bytes;
    int64_t n_in, n_out;
    segment_input *in;
    int64_t n_slots, capacity, cursor; /* cursor: the next slot of a refill */
    slot *slots;
    int64_t open; /* nodes, and inputs of inner segments, that may still want their slots */
    wgi_settings settings;
    wg_generator random;
    char *path; /* the module path of the first run */
    size_t path_bytes;
};

/* ---- a segment's life ------------------------------------------------------------------------------------------ */
static void close_one(wgi_segment *s);

static void drop_slot(wgi_segment *s, int64_t k)
{
    wgi_unref(s->slots[k].tensor);
    s->slots[k].tensor = NULL;
}

static void release_input(segment_input *in)
{
    if (in->tensor) atomic_fetch_sub_explicit(&in->tensor->saves, 1, memory_order_relaxed);
    wgi_unref(in->tensor);
    in->tensor = NULL;
    wgi_segment *outer = in->outer;
    in->outer = NULL;
    if (!outer) return;
    drop_slot(outer, in->outer_slot);
    close_one(outer);
    wgi_segment_unref(outer);
}

static void release_contents(wgi_segment *s)
{
    for (int64_t i = 0; i < s->n_in; i++) release_input(&s->in[i]);
    for (int64_t k = 0; k < s->n_slots; k++) drop_slot(s, k);
}

static void close_one(wgi_segment *s)
{
    if (--s->open == 0) release_contents(s);
}

void wgi_segment_unref(wgi_segment *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    release_contents(s);
    wgi_cpu_free(s->in, (size_t)s->n_in * sizeof *s->in);
    wgi_cpu_free(s->slots, (size_t)s->capacity * sizeof *s->slots);
    wgi_cpu_free(s->self, s->self_bytes);
    wgi_cpu_free(s->path, s->path_bytes);
    wgi_cpu_free(s, sizeof *s);
}

static wgi_segment *segment_new(wgi_context *c, wg_fn fn, const void *self, size_t bytes,
                                wg_list in, int64_t n_out)
{
    char path[512];
    int length = wgi_path_text(path, sizeof path);
    wgi_segment *s = wgi_cpu_alloc(sizeof *s);
    if (!s) return NULL;
    memset(s, 0, sizeof *s);
    atomic_init(&s->refs, 1);
    s->fn = fn;
    s->n_out = n_out;
    s->settings = c->now;
    s->random = c->random;
    s->self_bytes = bytes;
    s->path_bytes = (size_t)(length < (int)sizeof path ? length : (int)sizeof path - 1) + 1;
    s->self = bytes ? wgi_cpu_alloc(bytes) : NULL;
    s->path = wgi_cpu_alloc(s->path_bytes);
    s->in = in.n ? wgi_cpu_alloc((size_t)in.n * sizeof *s->in) : NULL;
    if ((bytes && !s->self) || !s->path || (in.n && !s->in)) {
        wgi_segment_unref(s);
        return NULL;
    }
    if (bytes) memcpy(s->self, self, bytes);
    memcpy(s->path, path, s->path_bytes);
    s->path[s->path_bytes - 1] = 0;
    return s;
}

/* ---- slots --------------------------------------------------------------------------------------------------------- */
static slot *slot_new(wgi_segment *s)
{
    if (s->n_slots == s->capacity) {
        int64_t capacity = s->capacity ? 2 * s->capacity : 32;
        slot *p = wgi_cpu_alloc((size_t)capacity * sizeof *p);
        if (!p) return NULL;
        if (s->n_slots) memcpy(p, s->slots, (size_t)s->n_slots * sizeof *p);
        wgi_cpu_free(s->slots, (size_t)s->capacity * sizeof *p);
        s->slots = p;
        s->capacity = capacity;
    }
    slot *k = &s->slots[s->n_slots++];
    k->tensor = NULL;
    return k;
}

/* First run: notes the shape. */
static wg_status slot_note(wgi_segment *s, const wg_tensor *t)
{
    slot *k = slot_new(s);
    if (!k) return wg_raise(WG_EMEM, "out of memory for the tape");
    k->dtype = t->dtype;
    k->ndim = t->ndim;
    for (int i = 0; i < t->ndim; i++) k->shape[i] = t->shape[i];
    return WG_OK;
}

/* Refill: what comes must look like what was there. */
static wg_status slot_fill(wgi_segment *s, wg_tensor *t)
{
    if (s->cursor >= s->n_slots)
        return wg_raise(WG_EGRAD, "recompute: the second run saved more tensors than the first");
    slot *k = &s->slots[s->cursor++];
    bool same = k->dtype == t->dtype && k->ndim == t->ndim;
    for (int i = 0; same && i < t->ndim; i++) same = k->shape[i] == t->shape[i];
    if (!same) {
        wg_dims was = wgi_dims(k->ndim, k->shape);
        char a[160], b[160];
        wgi_shape_text(a, sizeof a, &was);
        wgi_tensor_text(b, sizeof b, t);
        return wg_raise(
            WG_EGRAD,
            "recompute: a saved tensor was %s %s in the first run and is %s in the second", a,
            wg_dtype_name((wg_dtype)k->dtype), b);
    }
    k->tensor = wgi_ref(t);
    k->version = t->storage ? atomic_load_explicit(&t->storage->version, memory_order_relaxed) : 0;
    return WG_OK;
}

bool wgi_segment_save(wgi_context *c, wgi_node *n, wgi_saved *saved, int count)
{
    wgi_segment *s = c->segment;
    if (s->mode == RECORD) {
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
        n->segment = s;
        n->first_slot = s->n_slots;
        s->open++;
    }
    for (int i = 0; i < count && s->mode != DISCARD; i++)
        if ((s->mode == RECORD ? slot_note(s, saved[i].tensor) : slot_fill(s, saved[i].tensor)) !=
            WG_OK)
            break;
    return true;
}

/* ---- running the segment's function ------------------------------------------------------------------------------------ */
static void run_in(wgi_context *c, wgi_segment *s, segment_mode mode, wg_list in, wg_list out)
{
    wgi_segment *outer = c->segment;
    segment_mode before = s->mode;
    s->mode = mode;
    c->segment = s;
    s->fn(s->self, in, out);
    c->segment = outer;
    s->mode = before;
}

static wg_status keep_input(wgi_context *c, segment_input *to, wg_tensor *t)
{
    *to = (segment_input) { .requires_grad = t && t->node };
    if (!t) return WG_OK;
    wgi_segment *outer = c->segment;
    if (outer) {
        to->outer_slot = outer->mode == RECORD ? outer->n_slots : outer->cursor;
        wg_status s = outer->mode == RECORD   ? slot_note(outer, t)
                      : outer->mode == REFILL ? slot_fill(outer, t)
                                              : WG_OK;
        if (s != WG_OK) return s;
        if (outer->mode == RECORD) {
            atomic_fetch_add_explicit(&outer->refs, 1, memory_order_relaxed);
            outer->open++;
            to->outer = outer;
        }
        return WG_OK;
    }
    to->version = t->storage ? atomic_load_explicit(&t->storage->version, memory_order_relaxed) : 0;
    to->tensor = wgi_ref(t);
    atomic_fetch_add_explicit(&t->saves, 1, memory_order_relaxed);
    return WG_OK;
}

/* While a segment around it is refilled, an inner one only keeps its inputs' slots: its own nodes are thrown away. */
static bool only_passes(const wgi_context *c)
{
    return c->segment && c->segment->mode != RECORD;
}

void(wg_recompute)(wg_fn fn, const void *self, size_t bytes, wg_list in, wg_list out)
{
    wgi_context *c = wgi_ctx();
    for (int64_t i = 0; i < out.n; i++) out.t[i] = &wgi_error_tensor;
    for (int64_t i = 0; i < in.n; i++)
        if (in.t[i] && wgi_refuse(in.t[i], "recompute")) return;
    wg_scope scope = (wg_scope_push)();
    if (!c->now.grad) {
        fn((void *)(uintptr_t)self, in, out);
    } else {
        wgi_segment *s = segment_new(c, fn, self, bytes, in, out.n);
        if (!s) wg_raise(WG_EMEM, "out of memory for the tape");
        for (int64_t i = 0; s && i < in.n; i++, s->n_in++)
            if (keep_input(c, &s->in[i], in.t[i]) != WG_OK) break;
        if (s && !wg_error_code()) run_in(c, s, only_passes(c) ? DISCARD : RECORD, in, out);
        if (s) wgi_segment_unref(s);
    }
    for (int64_t i = 0; i < out.n; i++) {
        if (!out.t[i])
            out.t[i] =
                wg_fail(WG_EARG, "recompute: the function left output %lld empty", (long long)i);
        wg_scope_keep(scope, out.t[i]);
    }
    (wg_scope_return)(scope, NULL);
}

/* ---- the refill ------------------------------------------------------------------------------------------------------------ */
static wg_tensor *slot_tensor(wgi_context *c, wgi_segment *s, int64_t k);

/* Input i as it was, without its history, requiring a gradient if it did. */
static wg_tensor *input_again(wgi_context *c, wgi_segment *s, int64_t i)
{
    segment_input *in = &s->in[i];
    wg_tensor *t = in->tensor;
    if (in->outer) t = slot_tensor(c, in->outer, in->outer_slot);
    if (!t) return NULL;
    if (in->tensor && t->storage &&
        in->version != atomic_load_explicit(&t->storage->version, memory_order_relaxed)) {
        wg_raise(WG_EGRAD, "recompute: input %lld was changed in place (by %s) since the first run",
                 (long long)i, t->storage->writer ? t->storage->writer : "something");
        return NULL;
    }
    wg_tensor *again = (wg_detach)(t);
    if (!wgi_bad(again)) again->flags |= t->flags & WGI_PARAMETER; /* for autocast */
    return in->requires_grad ? (wg_require_grad)(again) : again;
}

static wg_status refill(wgi_context *c, wgi_segment *s)
{
    wg_scope scope = (wg_scope_push)();
    wg_generator random = c->random;
    wgi_path *path = c->path;
    c->path = NULL; /* the first run's path replaces the present one */
    if (s->path[0]) wgi_path_push(s->path);
    c->now = s->settings;
    c->random = s->random;
    s->cursor = 0;
    wg_list in = wg_list_new(s->n_in), out = wg_list_new(s->n_out);
    for (int64_t i = 0; i < in.n && !wg_error_code(); i++)
        if (s->in[i].tensor || s->in[i].outer) in.t[i] = input_again(c, s, i);
    if (!wg_error_code()) run_in(c, s, REFILL, in, out);
    c->random = random;
    (wg_scope_return)(scope, NULL);
    c->path = path;
    if (!wg_error_code() && s->cursor != s->n_slots)
        wg_raise(WG_EGRAD, "recompute: the second run saved fewer tensors than the first");
    s->filled = !wg_error_code();
    return wg_error_code();
}

static wg_tensor *slot_tensor(wgi_context *c, wgi_segment *s, int64_t k)
{
    if (!s->filled && refill(c, s) != WG_OK) return NULL;
    if (!s->slots[k].tensor)
        wg_raise(WG_EGRAD, "recompute: what the segment saved was freed by an earlier backward");
    return s->slots[k].tensor;
}

wg_tensor *wgi_segment_get(wgi_context *c, wgi_node *n, int k)
{
    if (!n->segment) {
        wg_raise(WG_EGRAD, "%s: what it saved is gone", n->op->name);
        return NULL;
    }
    return slot_tensor(c, n->segment, n->first_slot + k);
}

/* A node is done with its slots: the tensors go, and with the last node the segment's inputs. */
void wgi_segment_done(wgi_node *n)
{
    wgi_segment *s = n->segment;
    for (int k = 0; k < n->n_saved; k++) drop_slot(s, n->first_slot + k);
    close_one(s);
}
