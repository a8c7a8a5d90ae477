#include "cuda/update.h"

#include "cuda/cuda.h"
#include "cuda/operands.h"
#include "cuda/pointwise.h"
#include "ops/update.h"

/* An update on its way: the table that is being filled, and what its launches need. */
typedef struct {
    const wg_run *run;
    const wg_op *op;
    wgi_update_table table;
    wg_tensor **strided
        [WGI_UPDATE_ENTRIES]; /* groups of entries that a pass of their own steps; NULL: the table */
    bool counted;             /* an entry of the table has a count on the device */
    double *at;               /* (WGI_UPDATE_ENTRIES, 2); NULL: no count at all */
} update;

static wg_tensor **group_of(const update *u, int64_t i)
{
    return u->run->in.t + WGI_GROUP + i * u->op->repeat;
}

/* A group's tensor that is operand k of an entry. */
static wg_tensor *operand_of(const update *u, wg_tensor *const *group, int k)
{
    if (k < WGI_UPDATE_STATE) return group[k]; /* p, g, low stand alike in both */
    return k - WGI_UPDATE_STATE < u->op->repeat - WGI_STATE
               ? group[WGI_STATE + k - WGI_UPDATE_STATE]
               : NULL;
}

static void begin_table(update *u, bool f64)
{
    const wg_tensor *factor = u->run->in.t[WGI_FACTOR];
    u->table.n = 0;
    u->table.chunks = 0;
    u->table.f64 = f64;
    u->table.factor = factor ? wgi_data(factor) : NULL;
    u->table.factor_type = factor ? factor->dtype : WG_F64;
    u->counted = false;
}

static void launch_pass(const update *u, int i)
{
    const wgi_update_table *t = &u->table;
    const wg_tensor *operand[WGI_UPDATE_OPERANDS];
    for (int k = 0; k < WGI_UPDATE_OPERANDS; k++) operand[k] = operand_of(u, u->strided[i], k);
    wgi_update_pass p = { .rule = t->rule,
                          .numbers = t->entry[i].numbers,
                          .f64 = t->f64,
                          .factor = t->factor,
                          .factor_type = t->factor_type,
                          .at = t->at ? t->at + 2 * i : NULL };
    const wg_dims shape = wgi_shape(operand[WGI_UPDATE_P]);
    wgi_pass_make(&p.pass, &shape, WGI_UPDATE_OPERANDS, operand);
    wgi_launch_update_pass(&p, u->run->stream);
}

static void flush(update *u)
{
    u->table.at = u->counted ? u->at : NULL;
    if (u->counted) wgi_launch_update_counts(&u->table, u->run->stream);
    if (u->table.chunks > 0) wgi_launch_update(&u->table, u->run->stream);
    for (int i = 0; i < u->table.n; i++)
        if (u->strided[i]) launch_pass(u, i);
    begin_table(u, u->table.f64);
}

static bool all_contiguous(const update *u, wg_tensor *const *group)
{
    for (int k = 0; k < WGI_UPDATE_OPERANDS; k++) {
        const wg_tensor *t = operand_of(u, group, k);
        if (t && !wgi_is_contiguous(t)) return false;
    }
    return true;
}

/* Strided tensors stand in the table with no elements, for their counts. */
static void add(update *u, wg_tensor **group, const wgi_update_each *each)
{
    const int64_t numel = group[WGI_P]->numel;
    const bool contiguous = all_contiguous(u, group);
    wgi_update_entry e = { .n = contiguous ? numel : 0,
                           .lr = each->lr,
                           .numbers = wgi_update_numbers_of(&u->table.rule, each) };
    for (int k = 0; k < WGI_UPDATE_OPERANDS; k++) {
        const wg_tensor *t = operand_of(u, group, k);
        e.data[k] = t ? wgi_data(t) : NULL;
        e.type[k] = t ? t->dtype : 0;
    }
    if (group[WGI_TAKEN])
        e.taken = wgi_data(group[WGI_TAKEN]);
    else
        wgi_update_at(&u->table.rule, each->lr, each->step, &e.numbers.rate, &e.numbers.part);
    if (u->table.n == WGI_UPDATE_ENTRIES) flush(u);
    u->strided[u->table.n] = contiguous || numel == 0 ? NULL : group;
    u->counted |= e.taken != NULL;
    wgi_update_add(&u->table, &e);
}

/* Parameters that are computed in f64 by launches of their own. */
static void update_all(update *u, int64_t n, bool f64)
{
    const wgi_update_attr *a = u->run->attr;
    begin_table(u, f64);
    for (int64_t i = 0; i < n; i++)
        if ((group_of(u, i)[WGI_P]->dtype == WG_F64) == f64) add(u, group_of(u, i), &a->each[i]);
    if (u->table.n > 0) flush(u);
}

wg_status wgi_cuda_update(const wg_run *r, const wg_op *op, wgi_rule_kind kind)
{
    const wgi_update_attr *a = r->attr;
    const int64_t n = wgi_update_groups(op, r->in);
    bool counted = false, f32 = false, f64 = false;
    update u;
    u.run = r;
    u.op = op;
    u.at = NULL;
    u.table.rule = a->rule;
    u.table.rule.kind = (int)kind;
    for (int64_t i = 0; i < n; i++) {
        counted |= group_of(&u, i)[WGI_TAKEN] != NULL;
        *(group_of(&u, i)[WGI_P]->dtype == WG_F64 ? &f64 : &f32) = true;
    }
    if (counted && !(u.at = wg_scratch(r, WGI_UPDATE_ENTRIES * 2 * sizeof *u.at))) return WG_EMEM;
    if (f32) update_all(&u, n, false);
    if (f64) update_all(&u, n, true);
    return WG_OK;
}

/* ---- norm, clipping ---- */

/* Partial sums of all tables stand in one row, which one block adds in order. */
wg_status wgi_cuda_grad_norm(const wg_run *r)
{
    wg_tensor *y = r->out.t[0];
    wgi_update_table t = { .n = 0 };
    int64_t sums = 0, at = 0;
    for (int64_t i = 0; i < r->in.n; i++) sums += r->in.t[i]->numel / WGI_UPDATE_CHUNK + 1;
    double *partial = wg_scratch(r, (size_t)(sums + 1) * sizeof *partial);
    if (!partial) return WG_EMEM;
    for (int64_t i = 0; i <= r->in.n; i++) {
        const wg_tensor *g = i < r->in.n ? r->in.t[i] : NULL;
        const wgi_update_entry e = { .data[WGI_UPDATE_G] = g ? wgi_data(g) : NULL,
                                     .type[WGI_UPDATE_G] = g ? g->dtype : 0,
                                     .n = g ? g->numel : 0 };
        if (g && wgi_update_add(&t, &e)) continue;
        if (t.chunks > 0) wgi_launch_squares(&t, partial + at, r->stream);
        at += t.chunks;
        t.n = 0;
        t.chunks = 0;
        if (g) wgi_update_add(&t, &e);
    }
    wgi_launch_total(partial, at, 1, true, wgi_data(y), y->dtype, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_clip_factor(const wg_run *r, double max_norm, bool scaled)
{
    const wg_tensor *norm = r->in.t[0], *scale = r->in.n > 1 ? r->in.t[1] : NULL;
    const wgi_clip_factor_launch l = { .max_norm = max_norm,
                                       .scaled = scaled,
                                       .norm = wgi_data(norm),
                                       .norm_type = norm->dtype,
                                       .scale = scale ? wgi_data(scale) : NULL,
                                       .scale_type = scale ? scale->dtype : WG_F32,
                                       .factor = wgi_data(r->out.t[0]) };
    wgi_launch_clip_factor(&l, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_loss_scale(const wg_run *r, const wgi_loss_scale_rule *rule)
{
    const wg_tensor *norm = r->in.t[0], *scale = r->in.t[1],
                    *skipped = r->in.n > 3 ? r->in.t[3] : NULL;
    const wgi_loss_scale_launch l = { .rule = *rule,
                                      .norm = wgi_data(norm),
                                      .norm_type = norm->dtype,
                                      .scale = wgi_data(scale),
                                      .scale_type = scale->dtype,
                                      .good = wgi_data(r->in.t[2]),
                                      .skipped = skipped ? wgi_data(skipped) : NULL };
    wgi_launch_loss_scale(&l, r->stream);
    return WG_OK;
}
