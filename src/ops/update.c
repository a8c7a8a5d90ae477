/* What the rows of optimizers' updates share. One call steps any number of parameters. Its operands:
 *   factor?: () floating: gradients are multiplied by it, the product rounded to the gradient's dtype. Where `rule.scaled`
 *   says that the gradients carry a loss scale, the product stays f32 (f64), and a factor of NaN leaves everything as it is;
 *   p, g: (...) floating, of one shape a parameter; 16-bit ones are computed in f32, and rounded once;
 *   low?: (...) floating: becomes p in its own dtype (autocast's copy of a parameter);
 *   taken?: () i64: the steps taken before this one, counted on; without it `each->step` is this step's number;
 *   the state, as the row has it: (...) floating. */
#include "ops/update.h"

#include <math.h>

static wg_status infer_one(wg_infer *c, int64_t at, int64_t i)
{
    const wg_tensor *t = c->in.t[at + i];
    if (!t) return WG_OK;
    if (i == WGI_TAKEN) {
        if (t->dtype != WG_I64) return wg_raise(WG_EDTYPE, "taken should be i64");
        return wg_expect(c, (int)(at + i), WG_DIMS());
    }
    if (!wgi_is_float(t->dtype)) return wg_raise(WG_EDTYPE, "operands should be floating");
    return wg_expect(c, (int)(at + i), wgi_shape(c->in.t[at]));
}

wg_status wgi_update_infer(wg_infer *c, const wg_op *op)
{
    const int size = op->repeat;
    const wg_tensor *factor = c->in.t[WGI_FACTOR];
    if (factor && !wgi_is_float(factor->dtype))
        return wg_raise(WG_EDTYPE, "operands should be floating");
    wg_status s = wg_expect(c, WGI_FACTOR, WG_DIMS());
    wgi_context *context = wgi_ctx();
    const wg_list all = context->operands;
    for (int64_t at = WGI_GROUP; at < c->in.n && s == WG_OK; at += size) {
        context->operands = (wg_list) { size, c->in.t + at }; /* messages name this group's */
        for (int64_t i = 0; i < size && s == WG_OK; i++) s = infer_one(c, at, i);
    }
    context->operands = all;
    return s;
}

static double factor_of(const wg_run *r)
{
    const wg_tensor *f = r->in.t[WGI_FACTOR];
    return f ? wgi_load(wgi_data(f), (wg_dtype)f->dtype) : 1;
}

/* The number of this step of a parameter; counts it. */
static int64_t step_of(wg_tensor *const *group, const wgi_update_each *e)
{
    return group[WGI_TAKEN] ? ++*(int64_t *)wgi_data(group[WGI_TAKEN]) : e->step;
}

static void set_tile(wgi_update_tile *u, const wgi_update_attr *a, wgi_rule_kind kind,
                     const wgi_update_each *e, int64_t t)
{
    u->rule = a->rule;
    u->rule.kind = kind;
    u->numbers = wgi_update_numbers_of(&a->rule, e);
    wgi_update_at(&u->rule, e->lr, t, &u->numbers.rate, &u->numbers.part);
}

/* All parameters' tiles in one parallel region. */
wg_status wgi_update_cpu(const wg_run *r, const wg_op *op, wgi_rule_kind kind)
{
    const wgi_update_attr *a = r->attr;
    const int64_t n = wgi_update_groups(op, r->in);
    const double factor = factor_of(r);
    if (n == 0 || (a->rule.scaled && isnan(factor))) return WG_OK;
    wgi_tile_job *jobs = wg_scratch(r, (size_t)n * sizeof *jobs);
    wgi_update_tile *tiles = wg_scratch(r, (size_t)n * sizeof *tiles);
    if (!jobs || !tiles) return WG_EMEM;
    for (int64_t i = 0; i < n; i++) {
        wg_tensor **group = r->in.t + WGI_GROUP + i * op->repeat;
        wg_tensor *operand[WGI_TILE_OPERANDS] = { group[WGI_P], group[WGI_G], group[WGI_LOW] };
        const int states = op->repeat - WGI_STATE;
        for (int k = 0; k < states; k++) operand[WGI_TILE_STATE + k] = group[WGI_STATE + k];
        set_tile(&tiles[i], a, kind, &a->each[i], step_of(group, &a->each[i]));
        tiles[i].factor = factor;
        wgi_tiles_make(&jobs[i].tiles, wgi_shape(group[WGI_P]), WGI_TILE_STATE + states, operand);
        jobs[i].body = WGI_PICK(wgi_update_kernels)->update[kind][group[WGI_P]->dtype == WG_F64];
        jobs[i].self = &tiles[i];
    }
    wgi_tiles_run_jobs(jobs, n, WGI_UPDATE_GRAIN);
    return WG_OK;
}

static double *values(const wg_tensor *t)
{
    return t ? wgi_data(t) : NULL;
}

wg_status wgi_update_reference(const wg_run *r, const wg_op *op, wgi_update_element element)
{
    const wgi_update_attr *a = r->attr;
    const double factor = factor_of(r);
    if (a->rule.scaled && isnan(factor)) return WG_OK;
    for (int64_t i = 0; i < wgi_update_groups(op, r->in); i++) {
        wg_tensor **group = r->in.t + WGI_GROUP + i * op->repeat;
        double *p = wgi_data(group[WGI_P]), *low = values(group[WGI_LOW]), *s[2] = { 0 };
        const double *g = wgi_data(group[WGI_G]);
        const int64_t t = step_of(group, &a->each[i]);
        for (int k = 0; k < op->repeat - WGI_STATE; k++) s[k] = values(group[WGI_STATE + k]);
        for (int64_t e = 0; e < group[WGI_P]->numel; e++) {
            double *const at[2] = { s[0] ? &s[0][e] : NULL, s[1] ? &s[1][e] : NULL };
            element(&a->rule, &a->each[i], t, g[e] * factor, &p[e], at);
            if (low) low[e] = p[e];
        }
    }
    return WG_OK;
}
