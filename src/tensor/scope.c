/* Scopes: a stack of frames a thread, each owning one reference to every tensor made in it. Frames
 * keep their vectors when they are closed, so that a steady state allocates nothing. */
#include "tensor/internal.h"

#include <stdlib.h>

/* Memory that lives as long as its frame. */
typedef struct wgi_block {
    struct wgi_block *next;
    size_t used, size;
    _Alignas(16) char data[];
} wgi_block;

enum { BLOCK_BYTES = 4064, KEPT_SLOTS = 1 << 16 };

static bool frame_open(wgi_context *c)
{
    if (c->depth == c->frames_capacity) {
        int capacity = c->frames_capacity ? 2 * c->frames_capacity : 32;
        wgi_frame *f = wgi_realloc(c->frames, (size_t)capacity * sizeof *f);
        if (!f) return false;
        memset(f + c->frames_capacity, 0, (size_t)(capacity - c->frames_capacity) * sizeof *f);
        c->frames = f;
        c->frames_capacity = capacity;
    }
    wgi_frame *f = &c->frames[c->depth++];
    f->id = ++c->next_scope;
    f->saved = c->now;
    f->n = 0;
    f->module = NULL;
    return true;
}

/* The innermost frame, after opening the root if need be. */
static wgi_frame *innermost(wgi_context *c)
{
    if (c->depth == 0 && !frame_open(c)) {
        wg_raise(WG_EMEM, "out of memory for a scope");
        return NULL;
    }
    return &c->frames[c->depth - 1];
}

static bool slots_grow(wgi_frame *f)
{
    int64_t capacity = f->capacity ? 2 * f->capacity : 64;
    wg_tensor **owned = wgi_realloc(f->owned, (size_t)capacity * sizeof *owned);
    if (!owned) return false;
    f->owned = owned;
    f->capacity = capacity;
    return true;
}

static bool frame_add(wgi_frame *f, wg_tensor *t)
{
    if (f->n == f->capacity && !slots_grow(f)) return false;
    f->owned[f->n++] = t;
    return true;
}

/* Keeps one block of the usual size for the frame's next use. */
static void blocks_close(wgi_frame *f)
{
    wgi_block *kept = NULL;
    for (wgi_block *b = f->blocks, *next; b; b = next) {
        next = b->next;
        if (!kept && b->size == BLOCK_BYTES) {
            kept = b;
            b->used = 0;
            b->next = NULL;
        } else {
            free(b);
        }
    }
    f->blocks = kept;
}

static void frames_close(wgi_context *c, int depth);

/* Ends the innermost frame. What is released may be a user's wrapped memory, whose release function
 * may itself make tensors and scopes: so nothing is held across wgi_unref. */
static void frame_close(wgi_context *c)
{
    const int depth = c->depth;
    c->frames[depth - 1].id = 0; /* from now on unknown to wg_scope_pop */
    while (c->depth >= depth) {
        frames_close(c, depth);
        wgi_frame *f = &c->frames[depth - 1];
        if (f->n == 0) break;
        wgi_unref(f->owned[--f->n]);
    }
    if (c->depth < depth) return;
    wgi_frame *f = &c->frames[depth - 1];
    if (f->module) c->path = ((wgi_path *)f->module)->parent;
    c->now = f->saved;
    if (f->blocks) blocks_close(f);
    if (f->capacity > KEPT_SLOTS) {
        free(f->owned);
        f->owned = NULL;
        f->capacity = 0;
    }
    c->depth = depth - 1;
}

static void frames_close(wgi_context *c, int depth)
{
    while (c->depth > depth) frame_close(c);
}

void wgi_scope_thread_end(wgi_context *c)
{
    frames_close(c, 0);
    for (int i = 0; i < c->frames_capacity; i++) {
        free(c->frames[i].owned);
        for (wgi_block *b = c->frames[i].blocks, *next; b; b = next) {
            next = b->next;
            free(b);
        }
    }
    free(c->frames);
    c->frames = NULL;
    c->frames_capacity = 0;
    c->path = NULL;
}

/* Index of s among the open frames; 0 (the root, which has no name) and an error if it is not open
 * here. */
static int frame_find(wgi_context *c, wg_scope s, const char *function)
{
    for (int i = c->depth - 1; i > 0 && s.id; i--)
        if (c->frames[i].id == s.id) return i;
    if (s.id >> 40 != c->next_scope >> 40 && s.id)
        wg_raise(WG_ESCOPE, "%s: the scope belongs to another thread", function);
    else
        wg_raise(WG_ESCOPE, "%s: the scope is not open (ended already?)", function);
    return 0;
}

wg_scope wgi_scope_open(wgi_context *c)
{
    if (!innermost(c)) return (wg_scope) { 0 };
    if (!frame_open(c)) {
        wg_raise(WG_EMEM, "out of memory for a scope");
        return (wg_scope) { 0 };
    }
    return (wg_scope) { c->frames[c->depth - 1].id };
}

void wgi_scope_close(wgi_context *c, wg_scope s)
{
    if (c->depth > 1 && c->frames[c->depth - 1].id == s.id)
        frame_close(c);
    else
        wg_scope_return(s, NULL); /* inner ones were left open, or it was ended by somebody else */
}

wg_scope(wg_scope_push)(void)
{
    return wgi_scope_open(wgi_ctx());
}

wg_status wg_scope_pop(wg_scope s)
{
    wgi_context *c = wgi_ctx();
    int i = frame_find(c, s, "scope_pop");
    if (i > 0) frames_close(c, i);
    return c->error.code;
}

/* One more reference to t, in frame i. */
static wg_tensor *keep_in(wgi_context *c, int i, wg_tensor *t)
{
    if (t->flags & WGI_ERROR) return t;
    if (!frame_add(&c->frames[i], t)) return wg_fail(WG_EMEM, "out of memory for a scope");
    return wgi_ref(t);
}

wg_tensor *wg_scope_keep(wg_scope s, wg_tensor *t)
{
    if (!t) return NULL;
    if (wgi_refuse(t, "scope_keep")) return &wgi_error_tensor;
    wgi_context *c = wgi_ctx();
    int i = frame_find(c, s, "scope_keep");
    return i > 0 ? keep_in(c, i - 1, t) : &wgi_error_tensor;
}

wg_tensor *wg_scope_return(wg_scope s, wg_tensor *t)
{
    wgi_context *c = wgi_ctx();
    int i = frame_find(c, s, "scope_return");
    if (t && (i == 0 || wgi_refuse(t, "scope_return"))) t = &wgi_error_tensor;
    if (i == 0) return t;
    if (t) t = keep_in(c, i - 1, t);
    frames_close(c, i);
    return t;
}

wg_tensor *wgi_own(wgi_context *c, wg_tensor *t)
{
    if (t->flags & WGI_ERROR) return t;
    wgi_frame *f = c->depth > 0 ? &c->frames[c->depth - 1] : innermost(c);
    if (f && frame_add(f, t)) return t;
    wgi_unref(t);
    return wg_fail(WG_EMEM, "out of memory for a scope");
}

/* ---- references ------------------------------------------------------------------------------ */

wg_tensor *(wg_ref)(wg_tensor *t)
{
    if (wgi_refuse(t, "ref")) return &wgi_error_tensor;
    atomic_fetch_add_explicit(&t->user_refs, 1, memory_order_relaxed);
    return wgi_ref(t);
}

/* Takes back one of the user's references. */
static bool drop_user_ref(wg_tensor *t, const char *function)
{
    if (wgi_bad(t)) { /* the error tensor is not counted, a dead one has nothing to drop */
        if (!t || t->flags & WGI_ERROR) return true;
        wgi_refuse(t, function);
        return false;
    }
    int n = atomic_load_explicit(&t->user_refs, memory_order_relaxed);
    do {
        if (n <= 0) {
            wg_raise(WG_ESCOPE, "%s: no reference of yours (every wg_unref needs its wg_ref)",
                     function);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&t->user_refs, &n, n - 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void wg_unref(wg_tensor **t)
{
    if (!t || !*t || !drop_user_ref(*t, "unref")) return;
    wg_tensor *x = *t;
    *t = NULL;
    wgi_unref(x);
}

void wg_set(wg_tensor **slot, wg_tensor *t)
{
    if (!slot) {
        wg_raise(WG_EARG, "set: no slot");
        return;
    }
    if (t && !(t->flags & WGI_ERROR) && wgi_refuse(t, "set")) return;
    if (!drop_user_ref(*slot, "set")) return;
    wg_tensor *old = *slot;
    if (t && !(t->flags & WGI_ERROR))
        atomic_fetch_add_explicit(&t->user_refs, 1, memory_order_relaxed);
    *slot = wgi_ref(t);
    wgi_unref(old);
}

/* ---- memory of a scope -------------------------------------------------------------------------
 */

void *wg_scope_alloc(size_t bytes)
{
    wgi_frame *f = innermost(wgi_ctx());
    if (!f) return NULL;
    size_t need = bytes <= SIZE_MAX / 2 ? (bytes + 15) & ~(size_t)15 : SIZE_MAX / 2;
    wgi_block *b = f->blocks;
    if (!b || b->size - b->used < need) {
        size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;
        b = wgi_malloc(sizeof *b + size);
        if (!b) {
            wg_raise(WG_EMEM, "scope_alloc: out of memory: %zu bytes wanted", bytes);
            return NULL;
        }
        b->size = size;
        b->used = 0;
        b->next = f->blocks;
        f->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += need;
    return memset(p, 0, bytes);
}

wg_list wg_list_new(int64_t n)
{
    wg_list none = { 0, NULL };
    if (n < 0) {
        wg_raise(WG_EARG, "list_new: %lld slots", (long long)n);
        return none;
    }
    if (n == 0) return none;
    if ((uint64_t)n > SIZE_MAX / sizeof(wg_tensor *)) {
        wg_raise(WG_EMEM, "list_new: out of memory: %lld slots", (long long)n);
        return none;
    }
    wg_tensor **t = wg_scope_alloc((size_t)n * sizeof *t);
    return t ? (wg_list) { n, t } : none;
}
