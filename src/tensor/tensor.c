/* Tensor handles: made, viewed, referenced, looked at, and, when debugging, listed and kept dead.
 */
#include "tensor/internal.h"

#include <pthread.h>
#include <stdlib.h>

wg_tensor wgi_error_tensor = {
    .magic = WGI_ALIVE,
    .refs = 1,
    .flags = WGI_ERROR,
    .dtype = WG_F32,
    .shape = { 1, 1, 1, 1, 1, 1, 1, 1 },
    .strides = { 1, 1, 1, 1, 1, 1, 1, 1 },
    .numel = 1,
};

void (*wgi_node_release)(wgi_node *n);

/* ---- debugging: the list of live tensors, the quarantine of dead ones
 * ------------------------------ */

/* On by WG_DEBUG_LEAKS=1; and by -DWG_DEBUG_HANDLES, which WG_DEBUG_HANDLES=0 and =1 overrule. */
static bool list_live, keep_dead;

enum { QUARANTINE = 4096 };
static pthread_mutex_t debug_lock = PTHREAD_MUTEX_INITIALIZER;
static wg_tensor *live, *quarantine[QUARANTINE]; /* under debug_lock */
static unsigned quarantined;

static void live_add(wg_tensor *t)
{
    pthread_mutex_lock(&debug_lock);
    t->live_prev = NULL;
    t->live_next = live;
    if (live) live->live_prev = t;
    live = t;
    pthread_mutex_unlock(&debug_lock);
}

static void live_remove(wg_tensor *t)
{
    pthread_mutex_lock(&debug_lock);
    if (t->live_prev)
        t->live_prev->live_next = t->live_next;
    else
        live = t->live_next;
    if (t->live_next) t->live_next->live_prev = t->live_prev;
    pthread_mutex_unlock(&debug_lock);
}

static void live_report(void)
{
    wgi_scope_thread_end(wgi_ctx()); /* the main thread's root scope ends with the program */
    for (const wg_tensor *t = live; t; t = t->live_next) {
        char text[256];
        wgi_tensor_text(text, sizeof text, t);
        wgi_log(1, "still alive: %s, made at %s:%d, %d references, %d of them by wg_ref", text,
                t->file ? t->file : "?", t->line, atomic_load(&t->refs),
                atomic_load(&t->user_refs));
    }
}

void wgi_live_list(bool on)
{
    list_live = on;
}

void wgi_live_each(void (*visit)(void *self, const wg_tensor *t), void *self)
{
    pthread_mutex_lock(&debug_lock);
    for (const wg_tensor *t = live; t; t = t->live_next) visit(self, t);
    pthread_mutex_unlock(&debug_lock);
}

static void handle_free(wg_tensor *t)
{
    t->magic = WGI_DEAD;
    if (__builtin_expect(keep_dead, 0)) {
        const wgi_context *c = wgi_ctx();
        t->died_file = c->file ? c->file : "?";
        t->died_line = c->line;
        t->storage = NULL;
        t->node = NULL;
        memset(t->shape, 0x5a, sizeof t->shape + sizeof t->strides);
        pthread_mutex_lock(&debug_lock);
        wg_tensor **slot = &quarantine[quarantined++ % QUARANTINE], *oldest = *slot;
        *slot = t;
        pthread_mutex_unlock(&debug_lock);
        t = oldest;
        if (!t) return;
    }
    wgi_cpu_free(t, sizeof *t);
}

void wgi_tensor_start(void)
{
#ifdef WG_DEBUG_HANDLES
    keep_dead = true;
#endif
    if (getenv("WG_DEBUG_HANDLES")) keep_dead = wgi_flag("WG_DEBUG_HANDLES");
    list_live = wgi_flag("WG_DEBUG_LEAKS");
    if (list_live) atexit(live_report);
}

/* ---- made and released
 * ----------------------------------------------------------------------------------- */

/* A handle on s, whose reference it takes over; without strides. Nothing is zeroed that nobody reads. */
static inline wg_tensor *handle_new(wgi_context *c, wgi_storage *s, wg_dtype dtype,
                                    const wg_dims *shape, int64_t offset, int64_t numel)
{
    wg_tensor *t = wgi_cpu_alloc(sizeof *t);
    if (!t) {
        wgi_storage_unref(s);
        wg_raise(WG_EMEM, "out of memory for a tensor");
        return NULL;
    }
    t->magic = WGI_ALIVE;
    atomic_init(&t->refs, 1);
    atomic_init(&t->user_refs, 0);
    atomic_init(&t->saves, 0);
    t->flags = 0;
    t->dtype = (uint8_t)dtype;
    t->ndim = (uint8_t)shape->n;
    t->device = s->device;
    wgi_copy_dims(t->shape, shape->d, shape->n);
    t->offset = offset;
    t->numel = numel;
    t->storage = s;
    t->node = NULL;
    t->output = 0;
    t->file = c->file;
    t->line = c->line;
    t->cast_copy = NULL;
    t->died_file = NULL;
    if (__builtin_expect(list_live, 0)) {
        t->flags = WGI_LISTED;
        live_add(t);
    }
    return t;
}

static int64_t checked_numel(const wg_dims *shape)
{
    int64_t n = wgi_numel(shape);
    if (n < 0) {
        char text[256];
        wgi_shape_text(text, sizeof text, shape);
        wg_raise(WG_ESHAPE, "no tensor can have the shape %s", text);
    }
    return n;
}

wg_tensor *wgi_tensor_make_at(wgi_context *c, wg_dtype t, wg_device d, const wg_dims *shape)
{
    int64_t numel = checked_numel(shape);
    if (numel < 0) return NULL;
    const size_t size = wg_dtype_size(t);
    size_t bytes = (size_t)numel * size;
    if (size == 0) {
        if (!wgi_in_blocks((int)t) || !wg_dtype_block(t)) {
            wg_raise(WG_EDTYPE, "%d is no dtype", (int)t);
            return NULL;
        }
        if (wgi_fits_blocks(t, shape, "") != WG_OK) return NULL;
        bytes = wgi_bytes_of(t, numel);
    }
    wgi_storage *s = wgi_storage_new(d, bytes);
    if (!s) return NULL;
    wg_tensor *x = handle_new(c, s, t, shape, 0, numel);
    if (x) wgi_row_major_into(shape, x->strides);
    return x;
}

static wg_tensor *make_on(wgi_context *c, wgi_storage *s, wg_dtype t, const wg_dims *shape,
                          const wg_dims *strides, int64_t offset)
{
    int64_t numel = checked_numel(shape);
    if (numel < 0) return NULL;
    if (wgi_in_blocks((int)t) && wgi_keeps_blocks(t, shape, strides, offset, "") != WG_OK)
        return NULL;
    wgi_storage_ref(s);
    wg_tensor *x = handle_new(c, s, t, shape, offset, numel);
    if (x) wgi_copy_dims(x->strides, strides->d, shape->n);
    return x;
}

/* A view of a weak scalar is one, and a view of what a fused function made. */
static wg_tensor *view_on(wgi_context *c, const wg_tensor *x, const wg_dims *shape,
                          const wg_dims *strides, int64_t offset)
{
    wg_tensor *v = make_on(c, x->storage, (wg_dtype)x->dtype, shape, strides, offset);
    if (v) v->flags |= x->flags & (shape->n ? WGI_FUSED : WGI_FUSED | WGI_WEAK);
    return v;
}

wg_tensor *wgi_tensor_on(wgi_context *c, wgi_storage *s, wg_dtype t, wg_dims shape, wg_dims strides,
                         int64_t offset)
{
    return make_on(c, s, t, &shape, &strides, offset);
}

wg_tensor *wgi_tensor_make_view(wgi_context *c, wg_tensor *x, wg_dims shape, wg_dims strides,
                                int64_t offset)
{
    return view_on(c, x, &shape, &strides, offset);
}

wg_tensor *wgi_tensor_new_at(wgi_context *c, wg_dtype t, wg_device d, const wg_dims *shape)
{
    wg_tensor *x = wgi_tensor_make_at(c, t, d, shape);
    return x ? wgi_own(c, x) : &wgi_error_tensor;
}

wg_tensor *wgi_tensor_view_at(wgi_context *c, wg_tensor *x, const wg_dims *shape,
                              const wg_dims *strides, int64_t offset)
{
    wg_tensor *v = view_on(c, x, shape, strides, offset);
    return v ? wgi_own(c, v) : &wgi_error_tensor;
}

static void tensor_free(wg_tensor *t)
{
    if (__builtin_expect(t->flags & WGI_LISTED, 0)) live_remove(t);
    wgi_node *node = t->node;
    wgi_storage *s = t->storage;
    wg_tensor *copy = t->cast_copy;
    handle_free(t);
    if (copy) wgi_unref(copy);
    if (node && wgi_node_release) wgi_node_release(node);
    wgi_storage_unref(s);
}

void wgi_unref(wg_tensor *t)
{
    if (!t || t->flags & WGI_ERROR) return;
    if (atomic_load_explicit(&t->refs, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        tensor_free(t);
}

/* ---- what a tensor is
 * -------------------------------------------------------------------------------------- */

/* The tensor, or the error tensor (raising anew if nothing is pending). */
static const wg_tensor *looked_at(const wg_tensor *t, const char *function)
{
    return wgi_refuse(t, function) ? &wgi_error_tensor : t;
}

wg_dims wg_shape(const wg_tensor *t)
{
    t = looked_at(t, "shape");
    return wgi_shape(t);
}

wg_dims wg_strides(const wg_tensor *t)
{
    t = looked_at(t, "strides");
    return wgi_strides(t);
}

int64_t wg_size(const wg_tensor *t, int axis)
{
    int i;
    t = looked_at(t, "size");
    if (t->flags & WGI_ERROR) return 1;
    if (axis >= t->ndim || axis < -t->ndim) {
        wg_raise(WG_EINDEX, "size: axis %d is out of range for %d dimensions", axis, t->ndim);
        return 1;
    }
    i = axis < 0 ? axis + t->ndim : axis;
    return t->shape[i];
}

int64_t wg_numel(const wg_tensor *t)
{
    return looked_at(t, "numel")->numel;
}

int wg_ndim(const wg_tensor *t)
{
    return looked_at(t, "ndim")->ndim;
}

wg_dtype wg_dtype_of(const wg_tensor *t)
{
    return (wg_dtype)looked_at(t, "dtype_of")->dtype;
}

wg_device wg_device_of(const wg_tensor *t)
{
    return looked_at(t, "device_of")->device;
}

bool wg_is_contiguous(const wg_tensor *t)
{
    return wgi_is_contiguous(looked_at(t, "is_contiguous"));
}
