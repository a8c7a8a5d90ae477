/* Autocast: operands in the dtype that the row's flags and the scope's setting ask for. */
#include "autograd/door.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"

/* t in dtype `to`; a parameter's copy is kept with it as long as its storage does not change. */
static wg_tensor *cast_operand(wgi_context *c, wg_tensor *t, wg_dtype to)
{
    if (!(t->flags & WGI_PARAMETER) || !t->storage) return wg_cast(t, to);
    unsigned version = atomic_load_explicit(&t->storage->version, memory_order_relaxed);
    wg_tensor *copy = t->cast_copy;
    bool wants_node = c->now.grad && t->node;
    if (copy && copy->dtype == to && t->cast_version == version && (copy->node || !wants_node) &&
        !wgi_lost(copy))
        return copy;
    wg_tensor *fresh = wg_cast(t, to);
    if (wgi_bad(fresh)) return fresh;
    wgi_unref(copy);
    t->cast_copy = wgi_ref(fresh);
    t->cast_version = version;
    return fresh;
}

/* The dtype that input t has to have under autocast; its own where nothing changes. */
static wg_dtype autocast_dtype(const wgi_context *c, unsigned flags, const wg_tensor *t,
                               wg_dtype stream)
{
    wg_dtype own = t->dtype;
    if (flags & WG_OP_LOW) return own == WG_F32 || wgi_is_16bit(own) ? c->now.autocast : own;
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
