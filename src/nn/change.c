/* Changing all of a module: device, dtype, mode, freezing. Handles of parameters stay the same. */
#include "nn/state.h"

#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/tensor.h"

static bool same_device(wg_device a, wg_device b)
{
    return a.kind == b.kind && a.index == b.index;
}

/* Where a module's tensors go: dtype 0 keeps theirs. */
typedef struct {
    const char *function;
    wg_device device;
    wg_dtype dtype;
    bool move;
} change;

static bool stays(const wg_tensor *t, const change *c)
{
    if (c->move) return same_device(wg_device_of(t), c->device);
    if (wg_dtype_of(t) == c->dtype) return !wgi_parameter_read_only(t);
    return !wg_dtype_is_float(wg_dtype_of(t)) && wg_dtype_block(wg_dtype_of(t)) == 1;
}

static wg_tensor *changed(wg_tensor *t, const change *c)
{
    if (c->move) return wg_to(t, c->device);
    return wg_dtype_of(t) == c->dtype ? wgi_parameter_copy(t) : wg_cast(t, c->dtype);
}

/* The gradient goes with its parameter. */
static wg_status change_one(wg_tensor *t, const change *c)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *grad = wg_grad_of(t), *value = changed(t, c);
    if (grad && !stays(grad, c)) grad = changed(grad, c);
    if (wg_error_code() == WG_OK) {
        wgi_parameter_adopt(t, value);
        if (grad) (void)!wg_set_grad(t, grad);
    }
    return wg_scope_pop(s);
}

static void change_all(wg_module *m, const change *c)
{
    if (wgi_no_module(m, c->function) || wg_error_code() != WG_OK) return;
    wg_scope s = wg_scope_push();
    wg_params all = wg_module_state(m);
    bool fine = true;
    for (int64_t i = 0; i < all.n && fine; i++)
        fine = stays(all.p[i].tensor, c) ||
               wgi_parameter_free_of_graph(all.p[i].tensor, all.p[i].name) == WG_OK;
    for (int64_t i = 0; i < all.n && fine; i++)
        if (!stays(all.p[i].tensor, c)) fine = change_one(all.p[i].tensor, c) == WG_OK;
    wg_scope_return(s, NULL);
}

void wg_module_to(wg_module *m, wg_device d)
{
    change_all(m, &(change) { .function = "module_to", .device = d, .move = true });
}

void wg_module_cast(wg_module *m, wg_dtype t)
{
    if (!wg_dtype_is_float(t))
        wg_raise(WG_EDTYPE, "module_cast: %s is no floating dtype", wg_dtype_name(t));
    else
        change_all(m, &(change) { .function = "module_cast", .dtype = t });
}

void wg_module_put(wg_module *m, const char *path, wg_tensor *value)
{
    if (wgi_no_module(m, "module_put") || wg_error_code() != WG_OK) return;
    wgi_entry *e = wgi_find_entry(m, path, "module_put");
    if (!e) return;
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    if (!value || wg_is_error(value))
        wg_raise(WG_EARG, "module_put: the value for %s is NULL or an error", path);
    else
        (void)!wgi_parameter_put(e->tensor, value, e->buffer, path);
    wg_scope_return(s, NULL);
}

static void set_mode(void *self, const wgi_segments *path, wg_module *m)
{
    (void)path;
    m->training = *(bool *)self;
}

void wg_module_train(wg_module *m, bool on)
{
    if (!wgi_no_module(m, "module_train")) wgi_walk(m, set_mode, &on);
}

static void set_frozen(void *self, const wgi_segments *path, wg_module *m)
{
    (void)path;
    for (int64_t i = 0; i < m->state->n_entries; i++)
        if (!m->state->entries[i].buffer)
            wgi_parameter_freeze(m->state->entries[i].tensor, *(bool *)self,
                                 m->state->entries[i].name);
}

void wg_module_freeze(wg_module *m, bool frozen)
{
    if (!wgi_no_module(m, "module_freeze")) wgi_walk(m, set_frozen, &frozen);
}

void wg_module_apply(wg_module *m, void (*fn)(void *self, wg_module *m), void *self)
{
    if (wgi_no_module(m, "module_apply")) return;
    if (!fn) {
        wg_raise(WG_EARG, "module_apply: the function is NULL");
        return;
    }
    for (int64_t i = 0; i < m->state->n_children; i++)
        if (m->state->children[i].module) wg_module_apply(m->state->children[i].module, fn, self);
    fn(self, m);
}
