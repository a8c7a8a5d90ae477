/* What modules need from the inside of tensors, all of it: the path of errors, the mark of a
 * parameter, and handles that keep their identity while dtype, device and storage change. Every
 * other file of this folder is written like a user's. */
#include "autograd/node.h"
#include "nn/state.h"
#include "tensor/internal.h"
#include "wengert/ops.h"

void wgi_module_path(const char *name)
{
    wgi_path_push(name);
}

wg_tensor *wgi_parameter(wg_tensor *value, bool buffer)
{
    if (wgi_refuse(value, buffer ? "buffer" : "param")) return NULL;
    if (value->flags & WGI_PARAMETER) return value; /* registered twice: tied */
    if (value->node) value = wg_detach(value);
    if (!wgi_bad(value) && !wgi_is_contiguous(value)) value = wg_contiguous(value);
    if (!wgi_bad(value) && !buffer) value = wg_require_grad(value);
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
    if (t->node) {
        t->node->meta[0].dtype = t->dtype;
        t->node->meta[0].device = t->device;
    }
    if (old) wgi_storage_unref(old);
}

void wgi_parameter_freeze(wg_tensor *t, bool frozen)
{
    if (!frozen) {
        if (!t->node) wg_require_grad(t);
    } else if (t->node) {
        wgi_node *leaf = t->node;
        t->node = NULL;
        wgi_node_unref(leaf);
    }
}
