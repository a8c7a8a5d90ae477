/* What a row asks of its operands, and the errors where they are otherwise: missing or dead ones, devices, blocks, and
 * inputs that are changed in place. */
#include "autograd/door.h"
#include "wengert/error.h"

static int named_inputs(const wg_op *op)
{
    int n = 0;
    while (n < WG_MAX_INPUTS && op->in[n]) n++;
    return n;
}

/* Input i's place among the row's names, where inputs come in groups. */
static int64_t place_in_group(const wg_op *op, int64_t i)
{
    const int n = named_inputs(op);
    return i < n ? i : n - op->repeat + (i - n) % op->repeat;
}

const char *wgi_input_name(const wg_op *op, int64_t i)
{
    const int n = named_inputs(op);
    if (n == 0) return "";
    if (op->repeat) return op->in[place_in_group(op, i)];
    return op->in[i < n ? i : n - 1];
}

static bool may_be_null(const char *name)
{
    size_t n = strlen(name);
    return n && name[n - 1] == '?';
}

/* It may be missing at the list's end. */
static bool is_optional(const char *name)
{
    return may_be_null(name) || name[strlen(name) - 1] == '*';
}

static int required_inputs(const wg_op *op)
{
    int n = 0;
    while (n < WG_MAX_INPUTS && op->in[n] && !is_optional(op->in[n])) n++;
    return n;
}

/* Whether an operand is an error, dead or missing; raises if nothing is pending. */
bool wgi_refuse_operand(const wg_op *op, wg_list in)
{
    if (in.n < 0 || (in.n > 0 && !in.t)) {
        wg_raise(WG_EARG, "%s: a list of %lld inputs without any", op->name, (long long)in.n);
        return true;
    }
    for (int64_t i = 0; i < in.n; i++) {
        wg_tensor *t = in.t[i];
        if (t ? !wgi_bad(t) : may_be_null(wgi_input_name(op, i))) continue;
        if (t)
            wgi_refuse(t, op->name);
        else if (!wg_error_code()) {
            const char *name = wgi_input_name(op, i);
            int length = (int)strcspn(name, "?*");
            if (name[length])
                wg_raise(WG_EARG, "%s: %.*s %lld is NULL", op->name, length, name, (long long)i);
            else
                wg_raise(WG_EARG, "%s: %s is NULL", op->name, name);
        }
        return true;
    }
    return false;
}

bool wgi_refuse_number(const wg_op *op, int64_t n)
{
    const int before = op->repeat ? named_inputs(op) - op->repeat : 0;
    if (op->repeat && n >= before && (n - before) % op->repeat == 0) return false;
    if (op->repeat) {
        wg_raise(WG_EARG, "%s: takes %d inputs and groups of %d, got %lld", op->name, before,
                 op->repeat, (long long)n);
        return true;
    }
    if (n >= WG_MAX_INPUTS || !op->in[n] || is_optional(op->in[n])) return false;
    wg_raise(WG_EARG, "%s: takes %d inputs, got %lld", op->name, required_inputs(op), (long long)n);
    return true;
}

/* All operands on one device; weak scalars go anywhere. */
static wg_status check_devices(wg_list in)
{
    const wg_tensor *first = NULL;
    for (int64_t i = 0; i < in.n; i++) {
        const wg_tensor *t = in.t[i];
        if (!t || (t->flags & WGI_WEAK)) continue;
        if (!first)
            first = t;
        else if (t->device.kind != first->device.kind || t->device.index != first->device.index)
            return wg_raise(WG_EDEVICE, "operands are on different devices");
    }
    return WG_OK;
}

/* Names the ops that do take blocks. */
static wg_status refuse_blocks(const wg_op *op, wg_list in, int64_t i)
{
    char names[256] = "";
    for (int j = 0, at = 0; j < wg_op_count() && at < (int)sizeof names; j++)
        if (wg_op_at(j)->flags & WG_OP_BLOCKS)
            at += snprintf(names + at, sizeof names - (size_t)at, "%s%s", at ? ", " : "",
                           wg_op_at(j)->name);
    const char *name = wgi_input_name(op, i);
    return wg_raise(WG_EDTYPE, "%.*s is %s: no op computes with blocks but %s",
                    (int)strcspn(name, "?*"), name, wg_dtype_name((wg_dtype)in.t[i]->dtype), names);
}

static wg_status check_blocks(const wg_op *op, wg_list in)
{
    if (op->flags & WG_OP_VIEW) return WG_OK; /* views are checked when made */
    const bool takes = op->flags & WG_OP_BLOCKS;
    for (int64_t i = 0; i < in.n; i++) {
        const wg_tensor *t = in.t[i];
        if (!t || !wgi_in_blocks(t->dtype)) continue;
        if (!takes) return refuse_blocks(op, in, i);
    }
    return WG_OK;
}

wg_status wgi_check_operands(const wg_op *op, wg_list in)
{
    const wg_status s = check_devices(in);
    return s == WG_OK ? check_blocks(op, in) : s;
}

/* ---- in-place ops ---------------------------------------------------------------------------- */
/* The last bit stands for all inputs from there on, but where they come in groups. */
bool wgi_updates_input(const wg_op *op, int64_t i)
{
    if (op->repeat) return op->updates & WG_IN(place_in_group(op, i));
    return op->updates & WG_IN(i < WG_MAX_INPUTS ? i : WG_MAX_INPUTS - 1);
}

wg_status wgi_check_updates(const wgi_context *c, const wg_op *op, wg_list in)
{
    for (int64_t i = 0; i < in.n; i++) {
        const wg_tensor *t = in.t[i];
        if (!t || !wgi_updates_input(op, i)) continue;
        if (c->now.grad && t->node)
            return wg_raise(
                WG_EGRAD,
                "changes %s in place, which requires a gradient; wg_use_grad(false) first",
                wgi_input_name(op, i));
        if (t->storage && (t->storage->flags & WGI_STORAGE_READONLY))
            return wg_raise(WG_EARG, "%s is read-only", wgi_input_name(op, i));
        if (wgi_overlaps_itself(t))
            return wg_raise(WG_EARG, "%s overlaps itself", wgi_input_name(op, i));
    }
    return WG_OK;
}

void wgi_touch_updated(const wg_op *op, wg_list in)
{
    for (int64_t i = 0; i < in.n; i++)
        if (wgi_updates_input(op, i) && in.t[i] && in.t[i]->storage)
            wgi_storage_touch(in.t[i]->storage, op->name);
}
