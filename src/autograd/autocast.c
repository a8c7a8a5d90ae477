/* Autocast: operands in the dtype that the row's flags and the scope's setting ask for. */
#include "autograd/door.h"
#include "autograd/node.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"

static unsigned version_of(const wg_tensor *t)
{
    return atomic_load_explicit(&t->storage->version, memory_order_relaxed);
}

/* The copy leads backward to where t does: to its leaf, which is another one after t was frozen and thawed, or nowhere. */
static bool same_history(const wg_tensor *copy, const wg_tensor *t)
{
    return copy->node ? copy->node->edges[0].node == t->node : !t->node;
}

/* t in dtype `to`; a parameter's copy is kept with it as long as its storage does not change. */
static wg_tensor *cast_operand(wgi_context *c, wg_tensor *t, wg_dtype to)
{
    if (!(t->flags & WGI_PARAMETER) || !t->storage) return wg_cast(t, to);
    unsigned version = version_of(t);
    wg_tensor *copy = t->cast_copy;
    if (copy && copy->dtype == to && t->cast_version == version &&
        (!c->now.grad || same_history(copy, t)) && !wgi_lost(copy))
        return copy;
    wg_tensor *fresh = wg_cast(t, to);
    if (wgi_bad(fresh)) return fresh;
    wgi_unref(copy);
    t->cast_copy = wgi_ref(fresh);
    t->cast_version = version;
    return fresh;
}

/* One reference holds t, and t alone its memory. */
static bool held_once(const wg_tensor *t)
{
    return atomic_load_explicit(&t->refs, memory_order_acquire) == 1 &&
           atomic_load_explicit(&t->storage->refs, memory_order_acquire) == 1;
}

/* Nodes that will want the copy's values hold it, or a view of it; a graph that is alive and wants them no more, as after
 * backward, does not matter. */
wg_tensor *wgi_cast_copy_of(wg_tensor *p)
{
    wg_tensor *copy = p->cast_copy;
    if (!copy || p->dtype != WG_F32 || !wgi_is_16bit(copy->dtype) || !copy->storage) return NULL;
    /* another tensor on p's memory might be written after p: its values would be in p, not in the copy */
    if (p->cast_version != version_of(p) ||
        atomic_load_explicit(&p->storage->refs, memory_order_acquire) != 1)
        return NULL;
    return held_once(copy) && wgi_is_contiguous(copy) && wgi_is_contiguous(p) ? copy : NULL;
}

/* The cast's node lives on with the copy; the recomputed segment in which it was recorded need not. */
static void leave_segment(wgi_node *n)
{
    const bool alone = atomic_load_explicit(&n->refs, memory_order_acquire) == 1;
    if (!n->segment || !(alone || n->flags & WGI_NODE_FREED)) return;
    wgi_segment_unref(n->segment);
    n->segment = NULL;
}

void wgi_cast_copy_renewed(wg_tensor *p)
{
    p->cast_version = version_of(p);
    if (p->cast_copy->node) leave_segment(p->cast_copy->node);
}

/* The dtype that input t has to have under autocast; its own where nothing changes. */
static wg_dtype autocast_dtype(const wgi_context *c, unsigned flags, const wg_tensor *t,
                               wg_dtype stream)
{
    wg_dtype own = t->dtype;
    if (flags & WG_OP_LOW) return own == WG_F32 || wgi_is_16bit(own) ? c->now.autocast : own;
    if (flags & WG_OP_LOW_PARAMETERS && own == WG_F32 && (t->flags & WGI_PARAMETER))
        return c->now.autocast;
    if (flags & WG_OP_FULL) return wgi_is_16bit(own) ? WG_F32 : own;
    if (stream && own == WG_F32 && (t->flags & WGI_PARAMETER)) return stream;
    return own;
}

wg_status wgi_autocast(wgi_context *c, unsigned flags, wg_list *in, wg_tensor **space)
{
    wg_dtype stream = 0;
    for (int64_t i = 0; i < in->n; i++)
        if (in->t[i] && wgi_is_16bit(in->t[i]->dtype)) stream = in->t[i]->dtype;
    wg_tensor **to = in->n <= WGI_ON_STACK ? space : wg_list_new(in->n).t;
    if (!to) return wg_error_code();
    for (int64_t i = 0; i < in->n; i++) {
        wg_tensor *t = to[i] = in->t[i];
        if (!t || (t->flags & WGI_WEAK)) continue;
        wg_dtype d = autocast_dtype(c, flags, t, stream);
        if (d != t->dtype) to[i] = cast_operand(c, t, d);
        if (wgi_bad(to[i])) return wg_error_code();
    }
    in->t = to;
    return WG_OK;
}
