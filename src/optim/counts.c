/* Steps that are counted on the device: under a loss scale only it knows which were taken. */
#include "optim/optim.h"
#include "wengert/error.h"
#include "wengert/ops.h"

wg_status wgi_optim_read_counts(wg_optim *o)
{
    for (int64_t i = 0; i < o->n_slots; i++) {
        wgi_slot *s = &o->slots[i];
        const int64_t steps = s->taken ? wg_item_int(s->taken) : s->steps;
        if (wg_error_code()) return wg_error_code();
        s->steps = steps;
    }
    const int64_t skipped = o->skipped ? wg_item_int(o->skipped) : 0;
    if (wg_error_code()) return wg_error_code();
    o->steps -= skipped;
    wg_set(&o->skipped, NULL);
    return WG_OK;
}

void wgi_optim_drop_counts(wg_optim *o)
{
    for (int64_t i = 0; i < o->n_slots; i++) wg_set(&o->slots[i].taken, NULL);
    wg_set(&o->skipped, NULL);
}

wg_status wgi_optim_count_here(wg_optim *o)
{
    const wg_status status = wgi_optim_read_counts(o);
    if (status == WG_OK) wgi_optim_drop_counts(o);
    return status;
}

static bool lies_on(const wg_tensor *t, wg_device d)
{
    const wg_device at = wg_device_of(t);
    return at.kind == d.kind && at.index == d.index;
}

/* () i64 of this value on d. */
static wg_tensor *count_on(wg_device d, int64_t value)
{
    return wg_to(wg_from(&value, sizeof value, WG_I64, WG_DIMS()), d);
}

wg_status wgi_optim_count_there(wg_optim *o, wgi_items items)
{
    for (int64_t i = 0; i < items.n; i++) {
        wgi_slot *s = items.item[i].slot;
        const wg_device d = wg_device_of(s->param);
        if (s->taken && lies_on(s->taken, d)) continue;
        wg_tensor *t = s->taken ? wg_to(s->taken, d) : count_on(d, s->steps);
        if (wg_is_error(t)) return wg_error_code();
        wg_set(&s->taken, t);
    }
    if (items.n == 0) return WG_OK;
    const wg_device d = wg_device_of(items.item[0].p);
    if (o->skipped && lies_on(o->skipped, d)) return WG_OK;
    wg_tensor *t = o->skipped ? wg_to(o->skipped, d) : count_on(d, 0);
    if (wg_is_error(t)) return wg_error_code();
    wg_set(&o->skipped, t);
    return WG_OK;
}
