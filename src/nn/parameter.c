/* What modules need from the inside of tensors, all of it: the path of errors, the mark of a
 * parameter, and handles that keep their identity while dtype, device and storage change. Every
 * other file of this folder is written like a user's. */
#include <stdio.h>
#include <string.h>

#include "nn/state.h"
#include "tensor/internal.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- paths ----------------------------------------------------------------------------------- */

/* The dotted path of m from its root, cut to size. */
static size_t full_path(const wg_module *m, char *out, size_t size)
{
    size_t n = m->state->parent ? full_path(m->state->parent, out, size) : 0;
    const char *name = m->state->name;
    if (!*name || n >= size) return n;
    return n + (size_t)snprintf(out + n, size - n, "%s%s", n ? "." : "", name);
}

/* The nearest module above m that is on the thread's path. Names are told apart by their address;
 * where backward runs a segment again, its path stands there as one text. NULL: none. */
static const wg_module *nearest_entered(const wgi_path *now, const wg_module *m)
{
    if (!now) return NULL;
    for (const wg_module *up = m->state->parent; up; up = up->state->parent)
        if (now->name == up->state->name) return up;
    char here[512], there[512];
    wgi_path_text(here, sizeof here);
    for (const wg_module *up = m->state->parent; up; up = up->state->parent) {
        there[0] = 0;
        full_path(up, there, sizeof there);
        if (strcmp(here, there) == 0) return up;
    }
    return NULL;
}

/* Those between (lists, that nobody enters), and m. */
static void push_below(const wg_module *top, const wg_module *m)
{
    if (m->state->parent && m->state->parent != top) push_below(top, m->state->parent);
    wgi_path_push(m->state->name);
}

void wgi_module_path(const wg_module *m)
{
    push_below(nearest_entered(wgi_ctx()->path, m), m);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static bool is_mapped(const wg_tensor *t)
{
    return t->storage && (t->storage->flags & WGI_STORAGE_READONLY);
}

bool wgi_parameter_read_only(const wg_tensor *t)
{
    return wgi_in_blocks(t->dtype) || is_mapped(t);
}

wg_tensor *wgi_parameter_copy(wg_tensor *x)
{
    wg_scope s = wg_scope_push();
    wg_use_device(x->device);
    wg_tensor *y = wg_empty(wgi_shape(x), (wg_dtype)x->dtype);
    if (wg_assign(y, x) != WG_OK) y = &wgi_error_tensor;
    return wg_scope_return(s, y);
}

wg_tensor *wgi_parameter(wg_tensor *value, bool buffer)
{
    if (wgi_refuse(value, buffer ? "buffer" : "param")) return NULL;
    if (!buffer && (value->flags & WGI_PARAMETER)) return value; /* registered twice: tied */
    if (value->node) value = wg_detach(value);
    if (!wgi_bad(value) && !wgi_is_contiguous(value)) value = wg_contiguous(value);
    const bool blocks = !wgi_bad(value) && wgi_in_blocks(value->dtype);
    if (!wgi_bad(value) && !blocks && is_mapped(value))
        value = wgi_parameter_copy(value); /* optimizers write */
    if (!wgi_bad(value) && !buffer && !blocks) value = wg_require_grad(value);
    if (wgi_bad(value)) return NULL;
    value->flags &= (uint8_t)~WGI_WEAK;
    if (!buffer) value->flags |= WGI_PARAMETER;
    return value;
}

wg_status wgi_parameter_free_of_graph(const wg_tensor *t, const char *name)
{
    if (atomic_load_explicit(&t->saves, memory_order_acquire) == 0) return WG_OK;
    return wg_raise(
        WG_EGRAD, "%s is held by a graph that waits for backward; its dtype and device stay", name);
}

void wgi_parameter_adopt(wg_tensor *t, wg_tensor *value)
{
    wgi_storage *old = t->storage;
    if (value->storage) wgi_storage_ref(value->storage);
    t->storage = value->storage;
    t->dtype = value->dtype;
    t->device = value->device;
    t->offset = value->offset;
    for (int i = 0; i < t->ndim; i++) t->strides[i] = value->strides[i];
    wgi_unref(t->cast_copy); /* the autocast copy of another storage */
    t->cast_copy = NULL;
    if (old) wgi_storage_unref(old);
}

static void freeze(wg_tensor *t)
{
    wgi_node *leaf = t->node;
    t->node = NULL;
    if (leaf) wgi_node_release(leaf);
}

static void thaw(wg_tensor *t, const char *name)
{
    if (t->node || wgi_in_blocks(t->dtype)) return;
    if (is_mapped(t)) {
        if (wgi_parameter_free_of_graph(t, name) != WG_OK) return;
        wg_scope s = wg_scope_push();
        wg_use_grad(false);
        wg_tensor *own = wgi_parameter_copy(t);
        if (!wgi_bad(own)) wgi_parameter_adopt(t, own);
        wg_scope_return(s, NULL);
        if (is_mapped(t)) return;
    }
    wg_require_grad(t);
}

void wgi_parameter_freeze(wg_tensor *t, bool frozen, const char *name)
{
    if (frozen)
        freeze(t);
    else
        thaw(t, name);
}

wg_status wgi_parameter_put(wg_tensor *t, wg_tensor *value, bool buffer, const char *name)
{
    char is[256], given[256];
    wgi_tensor_text(is, sizeof is, t);
    wgi_tensor_text(given, sizeof given, value);
    if (!wgi_same_shape(t, value))
        return wg_raise(WG_ESHAPE, "module_put: %s is %s, the value %s", name, is, given);
    if (!buffer && !wgi_is_float(value->dtype) && !wgi_in_blocks(value->dtype))
        return wg_raise(WG_EDTYPE, "module_put: %s is a parameter, the value is %s", name, given);
    wg_status s = wgi_parameter_free_of_graph(t, name);
    if (s != WG_OK) return s;
    if (!wgi_is_contiguous(value)) value = wg_contiguous(value);
    if (wgi_bad(value)) return wg_error_code();
    wgi_parameter_adopt(t, value);
    wg_drop_grad(t);
    if (wgi_parameter_read_only(t)) freeze(t);
    return WG_OK;
}
