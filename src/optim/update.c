/* One call of an update for all parameters of a device. */
#include "autograd/door.h"
#include "ops/update.h"
#include "optim/optim.h"
#include "wengert/error.h"

/* The item's operands, `states` of them state, and what it gets. */
static void put_item(const wgi_item *i, int states, double lr, bool scaled, wg_tensor **group,
                     wgi_update_each *each)
{
    const wgi_slot *s = i->slot;
    group[WGI_P] = i->p;
    group[WGI_G] = i->g;
    group[WGI_LOW] = i->p == s->param ? wgi_cast_copy_of(i->p) : NULL;
    group[WGI_TAKEN] = scaled ? s->taken : NULL;
    for (int k = 0; k < states; k++) group[WGI_STATE + k] = s->state[k];
    *each = (wgi_update_each) { .lr = lr * s->group.lr_scale,
                                .weight_decay = s->group.weight_decay,
                                .step = s->steps + 1 };
}

static bool same_device(const wgi_item *a, const wgi_item *b)
{
    const wg_device x = wg_device_of(a->p), y = wg_device_of(b->p);
    return x.kind == y.kind && x.index == y.index;
}

/* The items from `first` on that lie on its device. */
static wg_status update_device(const wg_op *op, wgi_items items, int64_t first, wgi_multiplier by,
                               double lr, wgi_update_attr *a)
{
    const wg_scope scope = wg_scope_push();
    wg_list in = wg_list_new(WGI_GROUP + (items.n - first) * op->repeat);
    wgi_update_each *each = wg_scope_alloc((size_t)(items.n - first) * sizeof *each);
    int64_t n = 0;
    wg_status status = in.t && each ? WG_OK : wg_error_code();
    for (int64_t i = first; i < items.n && status == WG_OK; i++) {
        if (!same_device(&items.item[i], &items.item[first])) continue;
        put_item(&items.item[i], op->repeat - WGI_STATE, lr, by.scaled,
                 in.t + WGI_GROUP + n * op->repeat, &each[n]);
        n++;
    }
    if (status == WG_OK) {
        in.t[WGI_FACTOR] = by.factor;
        in.n = WGI_GROUP + n * op->repeat;
        a->each = each;
        wg_apply(op, in, a, NULL);
        status = wg_error_code();
    }
    for (int64_t i = 0; i < n && status == WG_OK; i++)
        if (in.t[WGI_GROUP + i * op->repeat + WGI_LOW])
            wgi_cast_copy_renewed(in.t[WGI_GROUP + i * op->repeat + WGI_P]);
    for (int64_t i = first; i < items.n && status == WG_OK; i++)
        if (same_device(&items.item[i], &items.item[first])) items.item[i].slot->steps++;
    wg_scope_return(scope, NULL);
    return status;
}

/* Whether an item before this one lies on its device. */
static bool was_updated(wgi_items items, int64_t i)
{
    for (int64_t k = 0; k < i; k++)
        if (same_device(&items.item[k], &items.item[i])) return true;
    return false;
}

wg_status wgi_optim_update(const wg_op *op, wgi_items items, wgi_multiplier by, double lr,
                           wgi_update_rule rule)
{
    rule.scaled = by.scaled;
    wgi_update_attr a = { .rule = rule };
    wg_status status = WG_OK;
    for (int64_t i = 0; i < items.n && status == WG_OK; i++)
        if (!was_updated(items, i)) status = update_device(op, items, i, by, lr, &a);
    return status;
}
