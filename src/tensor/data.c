/* Data in and out of tensors. */
#include "tensor/internal.h"

#include <math.h>

/* ---- checks
 * --------------------------------------------------------------------------------------- */

wg_status wgi_writable(const wg_tensor *t, const char *function)
{
    if (wgi_in_blocks(t->dtype))
        return wg_raise(WG_EDTYPE, "%s: blocks of %s are read-only", function,
                        wg_dtype_name((wg_dtype)t->dtype));
    if (t->storage && t->storage->flags & WGI_STORAGE_READONLY)
        return wg_raise(WG_EARG, "%s: the memory is read-only", function);
    if (t->flags & WGI_FUSED)
        return wg_raise(WG_EARG, "%s: a fused function may not write in place", function);
    if (wgi_overlaps_itself(t))
        return wg_raise(WG_EARG, "%s: elements share memory (an expanded or unfolded view)",
                        function);
    return WG_OK;
}

/* Raises for tensors without data. */
static wg_status has_data(const wg_tensor *t, const char *function)
{
    if (t->device.kind == WG_META) {
        char text[256];
        wgi_tensor_text(text, sizeof text, t);
        return wg_raise(WG_EDEVICE, "%s: no data: x %s", function, text);
    }
    return WG_OK;
}

/* Elements of shape in `bytes` bytes of t's; -1 and an error if they do not fit exactly. */
static int64_t elements(const wg_dims *shape, wg_dtype t, size_t bytes, const char *function)
{
    char text[256];
    int64_t n = wgi_numel(shape);
    wgi_shape_text(text, sizeof text, shape);
    if (n < 0)
        wg_raise(WG_ESHAPE, "%s: no tensor can have the shape %s", function, text);
    else if (wg_dtype_block(t) == 0)
        wg_raise(WG_EDTYPE, "%s: %d is no dtype", function, (int)t);
    else if (wgi_in_blocks((int)t) && wgi_fits_blocks(t, shape, function) != WG_OK)
        return -1;
    else if (bytes != wgi_bytes_of(t, n))
        wg_raise(WG_EARG, "%s: %s %s takes %zu bytes, given %zu", function, text, wg_dtype_name(t),
                 wgi_bytes_of(t, n), bytes);
    else
        return n;
    return -1;
}

/* Blocks begin with a 16-bit scale. */
static bool misaligned(const void *p, wg_dtype t)
{
    return (uintptr_t)p % (wgi_in_blocks((int)t) ? 2 : wgi_dtype_bytes[t]) != 0;
}

/* ---- from the caller's memory
 * ------------------------------------------------------------------------ */

wg_tensor *(wg_from)(const void *data, size_t bytes, wg_dtype t, wg_dims shape)
{
    wgi_context *c = wgi_ctx();
    if (elements(&shape, t, bytes, "from") < 0) return &wgi_error_tensor;
    if (!data && bytes > 0) return wg_fail(WG_EARG, "from: data is NULL");
    wg_tensor *x = wgi_tensor_new(c, t, c->now.device, shape);
    if (x->flags & WGI_ERROR || bytes == 0 || x->device.kind == WG_META) return x;
    if (x->device.kind == WG_CPU)
        memcpy(wgi_data(x), data, bytes);
    else if (wgi_cuda->copy(wgi_data(x), x->device, data, wg_cpu(), bytes) != WG_OK)
        return &wgi_error_tensor;
    return x;
}

/* Do all elements lie in the given bytes? */
static wg_status wrap_fits(const wg_dims *shape, const wg_dims *strides, size_t bytes, wg_dtype t)
{
    int64_t last = 0, step;
    for (int i = 0; i < shape->n; i++) {
        if (strides->d[i] < 0) return wg_raise(WG_EARG, "wrap: stride %d is negative", i);
        if (shape->d[i] == 0) return WG_OK;
        if (__builtin_mul_overflow(shape->d[i] - 1, strides->d[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return wg_raise(WG_EARG, "wrap: strides overflow");
    }
    if ((uint64_t)(last / wg_dtype_block(t)) >= bytes / wg_dtype_block_bytes(t))
        return wg_raise(WG_EARG, "wrap: the last element lies beyond the %zu bytes given", bytes);
    return WG_OK;
}

wg_tensor *(wg_wrap)(void *data, size_t bytes, wg_dtype t, wg_dims shape, wg_dims strides,
                     void (*release)(void *owner), void *owner)
{
    wgi_context *c = wgi_ctx();
    int64_t n = wgi_numel(&shape);
    if (wg_dtype_block(t) == 0) return wg_fail(WG_EDTYPE, "wrap: %d is no dtype", (int)t);
    if (n < 0) return wg_fail(WG_ESHAPE, "wrap: invalid shape");
    if (strides.n == 0) strides = wgi_row_major(&shape);
    if (strides.n != shape.n)
        return wg_fail(WG_ESHAPE, "wrap: %d sizes and %d strides", shape.n, strides.n);
    if (wgi_in_blocks((int)t) && wgi_keeps_blocks(t, &shape, &strides, 0, "wrap") != WG_OK)
        return &wgi_error_tensor;
    if (n > 0 && !data) return wg_fail(WG_EARG, "wrap: data is NULL");
    if (misaligned(data, t))
        return wg_fail(WG_EARG, "wrap: data is not aligned for %s", wg_dtype_name(t));
    if (wrap_fits(&shape, &strides, bytes, t) != WG_OK) return &wgi_error_tensor;
    wgi_storage *s = wgi_storage_wrap(data, bytes, false, NULL, owner);
    if (!s) return &wgi_error_tensor;
    wg_tensor *x = wgi_tensor_on(c, s, t, shape, strides, 0);
    if (x) x = wgi_own(c, x);
    bool made = x && !(x->flags & WGI_ERROR);
    if (made) s->release = release; /* after a failure the memory is still the caller's */
    wgi_storage_unref(s);
    return made ? x : &wgi_error_tensor;
}

/* ---- to the caller's memory
 * ---------------------------------------------------------------------------- */

/* A contiguous copy of t in its own dtype on the CPU (only for devices other than the CPU); the
 * caller's. */
static wg_tensor *on_cpu(wgi_context *c, wg_tensor *t)
{
    wg_tensor *flat = wgi_tensor_make(c, (wg_dtype)t->dtype, t->device, wgi_shape(t));
    wg_tensor *host = flat ? wgi_tensor_make(c, (wg_dtype)t->dtype, wg_cpu(), wgi_shape(t)) : NULL;
    bool done = host && wgi_cuda->copy_elements(flat, t) == WG_OK &&
                wgi_cuda->copy(wgi_data(host), host->device, wgi_data(flat), t->device,
                               host->storage->bytes) == WG_OK;
    wgi_unref(flat);
    if (done) return host;
    wgi_unref(host);
    return NULL;
}

/* t itself, or its copy on the CPU; either way one reference of the caller's. NULL: raised. */
static wg_tensor *readable(wgi_context *c, wg_tensor *t, const char *function)
{
    if (has_data(t, function) != WG_OK) return NULL;
    if (t->device.kind == WG_CUDA && c->recording) {
        wg_raise(WG_EDEVICE,
                 "%s: a graph is being captured: nothing has a value before wg_graph_run returns",
                 function);
        return NULL;
    }
    if (wgi_refuse_lost(function, (wg_list) { 1, &t }) != WG_OK) return NULL;
    return t->device.kind == WG_CPU || t->numel == 0 ? wgi_ref(t) : on_cpu(c, t);
}

wg_status(wg_read)(wg_tensor *t, void *data, size_t bytes, wg_dtype as)
{
    wgi_context *c = wgi_ctx();
    if (wgi_refuse(t, "read")) return c->error.code;
    wg_dims shape = wgi_shape(t), strides = wgi_row_major(&shape);
    if (elements(&shape, as, bytes, "read") < 0) return c->error.code;
    if (bytes > 0 && !data) return wg_raise(WG_EARG, "read: data is NULL");
    if (misaligned(data, as))
        return wg_raise(WG_EARG, "read: data is not aligned for %s", wg_dtype_name(as));
    if (wgi_fits_quantiser((wg_dtype)t->dtype, as, "read") != WG_OK) return c->error.code;
    wg_tensor *x = readable(c, t, "read");
    if (!x) return c->error.code;
    wgi_copy_strided(data, as, strides.d, wgi_data(x), (wg_dtype)x->dtype, x->strides, x->ndim,
                     x->shape);
    wgi_unref(x);
    return WG_OK;
}

/* The one element of t at out, in t's dtype. */
static bool one_element(wg_tensor *t, const char *function, void *out)
{
    wgi_context *c = wgi_ctx();
    if (wgi_refuse(t, function)) return false;
    if (t->numel != 1) {
        char text[256];
        wgi_tensor_text(text, sizeof text, t);
        wg_raise(WG_ESHAPE, "%s: not one element: x %s", function, text);
        return false;
    }
    wg_tensor *x = readable(c, t, function);
    if (!x) return false;
    memcpy(out, wgi_data(x), wgi_dtype_bytes[x->dtype]);
    wgi_unref(x);
    return true;
}

double(wg_item)(wg_tensor *t)
{
    int64_t element;
    return one_element(t, "item", &element) ? wgi_load(&element, (wg_dtype)t->dtype) : (double)NAN;
}

int64_t(wg_item_int)(wg_tensor *t)
{
    int64_t element;
    return one_element(t, "item_int", &element) ? wgi_load_int(&element, (wg_dtype)t->dtype) : 0;
}

/* ---- in place
 * ------------------------------------------------------------------------------------------- */

static bool share_memory(const wg_tensor *a, const wg_tensor *b)
{
    const char *x = a->storage->data, *y = b->storage->data;
    return x && y && x < y + b->storage->bytes && y < x + a->storage->bytes;
}

/* Strides of `from` seen in the shape of `into`: 0 along axes that it lacks or has once. */
static void broadcast_strides(const wg_tensor *from, const wg_tensor *into, int64_t *strides)
{
    int lead = into->ndim - from->ndim;
    for (int i = 0; i < into->ndim; i++)
        strides[i] = i < lead || from->shape[i - lead] == 1 ? 0 : from->strides[i - lead];
}

/* A contiguous copy of x on its own device; the caller's. */
static wg_tensor *copy_of(wgi_context *c, wg_tensor *x)
{
    wg_tensor *y = wgi_tensor_make(c, (wg_dtype)x->dtype, x->device, wgi_shape(x));
    if (y) wgi_copy_elements(y, x);
    return y;
}

/* CPU to CPU. */
static wg_status assign_cpu(wgi_context *c, wg_tensor *into, wg_tensor *from)
{
    int64_t strides[WG_MAX_DIMS];
    wg_tensor *source = share_memory(into, from) ? copy_of(c, from) : wgi_ref(from);
    if (!source) return c->error.code;
    broadcast_strides(source, into, strides);
    wgi_copy_strided(wgi_data(into), (wg_dtype)into->dtype, into->strides, wgi_data(source),
                     (wg_dtype)source->dtype, strides, into->ndim, into->shape);
    wgi_unref(source);
    return WG_OK;
}

static bool same_device(wg_device a, wg_device b)
{
    return a.kind == b.kind && a.index == b.index;
}

/* Within a CUDA device: one copy, as a key-value cache makes two of for every layer and token. */
static wg_status assign_within(wgi_context *c, wg_tensor *into, wg_tensor *from)
{
    int64_t strides[WG_MAX_DIMS];
    const wg_dims shape = wgi_shape(into);
    wg_tensor *source = share_memory(into, from) ? copy_of(c, from) : wgi_ref(from);
    if (!source) return c->error.code;
    broadcast_strides(source, into, strides);
    wg_tensor *seen =
        wgi_tensor_make_view(c, source, shape, wgi_dims(shape.n, strides), source->offset);
    const wg_status s = seen ? wgi_copy_elements(into, seen) : c->error.code;
    wgi_unref(seen);
    wgi_unref(source);
    return s;
}

/* To a CUDA device, or from one: brought into shape and dtype where it lies, sent, then
 * laid out there. */
static wg_status assign_device(wgi_context *c, wg_tensor *into, wg_tensor *from)
{
    int64_t strides[WG_MAX_DIMS];
    wg_dims shape = wgi_shape(into);
    broadcast_strides(from, into, strides);
    wg_tensor *seen =
        wgi_tensor_make_view(c, from, shape, wgi_dims(shape.n, strides), from->offset);
    wg_tensor *ready = seen ? wgi_tensor_make(c, (wg_dtype)into->dtype, from->device, shape) : NULL;
    wg_tensor *sent = NULL;
    bool done = ready != NULL;
    if (done) done = wgi_copy_elements(ready, seen) == WG_OK;
    if (done) sent = wgi_tensor_make(c, (wg_dtype)into->dtype, into->device, shape);
    done = sent && wgi_cuda->copy(wgi_data(sent), sent->device, wgi_data(ready), ready->device,
                                  sent->storage->bytes) == WG_OK;
    if (done) done = wgi_copy_elements(into, sent) == WG_OK;
    wgi_unref(sent);
    wgi_unref(ready);
    wgi_unref(seen);
    return done ? WG_OK : c->error.code;
}

/* The texts are made for a message alone: assigning is on the path of every decoded token. */
static wg_status refuse_assign(wg_status code, const char *why, const wg_tensor *into,
                               const wg_tensor *from)
{
    char to[256], by[256];
    wgi_tensor_text(to, sizeof to, into);
    wgi_tensor_text(by, sizeof by, from);
    return wg_raise(code, "assign: %s: into %s, from %s", why, to, by);
}

static wg_status assign_fits(const wgi_context *c, const wg_tensor *into, const wg_tensor *from)
{
    bool fits = from->ndim <= into->ndim;
    for (int i = 1; fits && i <= from->ndim; i++)
        fits = from->shape[from->ndim - i] == 1 ||
               from->shape[from->ndim - i] == into->shape[into->ndim - i];
    if (!fits) return refuse_assign(WG_ESHAPE, "shapes do not fit", into, from);
    if (c->now.grad && into->node)
        return refuse_assign(WG_EGRAD, "into requires a gradient: turn gradients off", into, from);
    if (c->now.grad && from->node)
        return refuse_assign(WG_EGRAD, "from requires a gradient, detach it", into, from);
    if (from->device.kind == WG_META && into->device.kind != WG_META)
        return refuse_assign(WG_EDEVICE, "no data", into, from);
    return wgi_writable(into, "assign");
}

wg_status(wg_assign)(wg_tensor *into, wg_tensor *from)
{
    wgi_context *c = wgi_ctx();
    if (wgi_refuse(into, "assign") || wgi_refuse(from, "assign")) return c->error.code;
    wg_status s = assign_fits(c, into, from);
    if (s != WG_OK) return s;
    if (into->device.kind == WG_CPU && from->device.kind == WG_CPU)
        s = assign_cpu(c, into, from);
    else if (into->device.kind != WG_META && into->numel > 0 &&
             (s = wgi_refuse_lost("assign", (wg_list) { 1, &from })) == WG_OK)
        s = same_device(into->device, from->device) ? assign_within(c, into, from)
                                                    : assign_device(c, into, from);
    if (s == WG_OK) wgi_storage_touch(into->storage, "assign");
    return s;
}

/* ---- bare pointers
 * ---------------------------------------------------------------------------------------- */

static wg_status on_the_cpu(const wg_tensor *t, const char *function)
{
    if (has_data(t, function) != WG_OK) return WG_EDEVICE;
    if (t->device.kind != WG_CPU)
        return wg_raise(WG_EDEVICE, "%s: the tensor is not on the CPU: wg_read copies it",
                        function);
    return WG_OK;
}

const void *(wg_data)(wg_tensor *t)
{
    if (wgi_refuse(t, "data") || on_the_cpu(t, "data") != WG_OK) return NULL;
    return wgi_data(t);
}

void *(wg_data_write)(wg_tensor *t)
{
    if (wgi_refuse(t, "data_write") || on_the_cpu(t, "data_write") != WG_OK ||
        wgi_writable(t, "data_write") != WG_OK)
        return NULL;
    wgi_storage_touch(t->storage, "data_write");
    return wgi_data(t);
}
