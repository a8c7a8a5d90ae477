/* Adapters: the layer, putting it around Linears, taking it out again. */
#include "nn/lora.h"

#include <math.h>
#include <string.h>

#include "nn/parts.h"
#include "wengert/autograd.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* ---- the layer ------------------------------------------------------------------------------- */

typedef struct {
    const wgi_lora_config *c;
    int64_t in, out;
} lora_init_config;

static void lora_init(wg_module *m, const void *config)
{
    wgi_lora *self = (wgi_lora *)m;
    const lora_init_config *i = config;
    const wgi_lora_config *c = i->c;
    self->rank = c->rank;
    self->alpha = c->alpha;
    self->dropout = c->dropout;
    self->rslora = c->rslora;
    self->scale = c->alpha / (c->rslora ? sqrt((double)c->rank) : (double)c->rank);
    const wg_dims a = WG_DIMS(c->rank, i->in);
    wg_param(m, "lora_A.weight", &self->a,
             c->zero ? wg_zeros(a) : wgi_uniform_weight(a, 1 / sqrt((double)i->in)));
    wg_param(m, "lora_B.weight", &self->b, wg_zeros(WG_DIMS(i->out, c->rank)));
    wg_child(m, "", &self->inner, wg_module_list_new()); /* keeps the Linear's place */
}

static wg_tensor *lora_forward(wg_module *m, wg_tensor *x) /* (..., in) -> (..., out) */
{
    wgi_lora *self = (wgi_lora *)m;
    wg_tensor *y = wg_forward(self->inner, x);
    wg_tensor *low = wg_linear(wg_dropout(x, self->dropout, m->training), self->a, NULL);
    low = wg_linear(wg_affine(low, self->scale, 0), self->b, NULL);
    return wg_add(y, wg_cast(low, wg_dtype_of(y)));
}

const wg_module_type wg_lora_type = {
    .name = "lora", .size = sizeof(wgi_lora), .init = lora_init, .forward = lora_forward
};

bool wgi_lora_config_fits(const wgi_lora_config *c, const char *function)
{
    if (c->rank < 1 || c->rank > 1 << 20)
        wg_raise(WG_EARG, "%s: rank %lld is not between 1 and 2^20", function, (long long)c->rank);
    else if (!isfinite(c->alpha))
        wg_raise(WG_EARG, "%s: alpha is %g", function, c->alpha);
    else if (!(c->dropout >= 0 && c->dropout < 1))
        wg_raise(WG_EARG, "%s: dropout %g is not in [0, 1)", function, c->dropout);
    else
        return true;
    return false;
}

/* ---- where ----------------------------------------------------------------------------------- */

static wgi_lora_site site_of(const char *path, wg_module *linear, wgi_lora *adapter)
{
    const wg_dims w = wg_shape(wg_module_tensor(linear, "weight"));
    const bool in_out = wgi_linear_in_out(linear);
    return (wgi_lora_site) { path, linear, adapter, w.d[in_out ? 0 : 1], w.d[in_out ? 1 : 0] };
}

wgi_lora_sites wgi_lora_sites_of(wg_module *m)
{
    const wg_modules all = wg_module_all(m);
    wgi_lora_sites sites = { 0, wg_scope_alloc(((size_t)all.n + 1) * sizeof *sites.s) };
    for (int64_t i = 0; sites.s && i < all.n; i++) {
        wg_module *at = all.m[i].module;
        /* A transparent child has its parent's name, and the parent stands at it. */
        if (at == m || wg_module_at(m, all.m[i].name) != at) continue;
        wgi_lora *adapter = wg_module_is(at, &wg_lora_type) ? (wgi_lora *)at : NULL;
        wg_module *linear = adapter ? adapter->inner : at;
        if (wg_module_is(linear, &wg_linear_type))
            sites.s[sites.n++] = site_of(all.m[i].name, linear, adapter);
    }
    if (wg_error_code() != WG_OK) sites.n = 0;
    return sites;
}

wg_module **wgi_lora_make(const wgi_lora_site *const *sites, int64_t n, const wgi_lora_config *c)
{
    wg_module **made = wg_scope_alloc(((size_t)n + 1) * sizeof *made);
    for (int64_t i = 0; made && i < n; i++) {
        wg_tensor *weight = wg_module_tensor(sites[i]->linear, "weight");
        const wg_scope s = wg_scope_push();
        wg_use_device(wg_device_of(weight));
        wg_use_dtype(wg_dtype_of(weight) == WG_F64 ? WG_F64 : WG_F32);
        made[i] =
            wg_module_new(&wg_lora_type, &(lora_init_config) { c, sites[i]->in, sites[i]->out });
        wg_scope_return(s, NULL);
        if (made[i]) continue;
        wgi_lora_discard(made, i);
        return NULL;
    }
    return made;
}

void wgi_lora_discard(wg_module **made, int64_t n)
{
    for (int64_t i = 0; i < n; i++) wg_module_free(made[i]);
}

/* All but adapters; those that were there before go on learning. */
static void freeze_base(wg_module *m)
{
    const wgi_lora_sites sites = wgi_lora_sites_of(m);
    bool *learns = wg_scope_alloc(((size_t)sites.n + 1) * sizeof *learns);
    for (int64_t i = 0; learns && i < sites.n; i++)
        learns[i] = sites.s[i].adapter && wg_requires_grad(sites.s[i].adapter->a);
    wg_module_freeze(m, true);
    for (int64_t i = 0; learns && i < sites.n; i++) {
        if (!learns[i]) continue;
        wg_require_grad(sites.s[i].adapter->a);
        wg_require_grad(sites.s[i].adapter->b);
    }
}

void wgi_lora_put_in(wg_module *m, const wgi_lora_site *const *sites, wg_module **made, int64_t n,
                     bool freeze)
{
    if (freeze) freeze_base(m);
    for (int64_t i = 0; i < n; i++) {
        wg_module *linear = wg_module_swap(m, sites[i]->path, made[i]);
        made[i]->training = linear->training;
        wg_module_free(wg_module_swap(made[i], "", linear)); /* the empty list */
    }
}

/* ---- adding ---------------------------------------------------------------------------------- */

static const char QUERIES_KEYS_VALUES[] = "*.c_attn,*.q_proj,*.k_proj,*.v_proj,*.wq,*.wk,*.wv";

/* The next pattern of a list, cut off in place; NULL at the end. */
static char *next_pattern(char **list)
{
    char *p = *list;
    if (!p) return NULL;
    char *comma = strchr(p, ',');
    *list = comma ? comma + 1 : NULL;
    if (comma) *comma = 0;
    while (*p == ' ') p++;
    return p;
}

/* A Linear at path that wgi_lora_sites_of leaves out. */
static wg_status refuse_hidden(wg_module *m, const char *pattern)
{
    const wg_modules all = wg_module_all(m);
    for (int64_t i = 0; i < all.n; i++)
        if (wg_module_is(all.m[i].module, &wg_linear_type) && *all.m[i].name &&
            wg_match(pattern, all.m[i].name) && !wg_error_code() &&
            wg_module_at(m, all.m[i].name) != all.m[i].module)
            return wg_raise(WG_EARG, "lora_add: the linear %s stands inside a %s of that name",
                            all.m[i].name, wg_module_at(m, all.m[i].name)->type->name);
    return wg_error_code();
}

/* Marks what one pattern matches. */
static wg_status choose(wg_module *m, const wgi_lora_sites *sites, const char *pattern,
                        bool may_miss, bool *chosen)
{
    int64_t found = 0;
    for (int64_t i = 0; i < sites->n; i++) {
        if (!wg_match(pattern, sites->s[i].path)) continue;
        if (sites->s[i].adapter)
            return wg_raise(WG_EARG, "lora_add: %s has an adapter already", sites->s[i].path);
        chosen[i] = true;
        found++;
    }
    if (refuse_hidden(m, pattern) == WG_OK && !found && !may_miss)
        wg_raise(WG_ENOTFOUND, "lora_add: no linear's name matches \"%s\"", pattern);
    return wg_error_code();
}

static void add(const wg_lora_args *a)
{
    const wgi_lora_config c = { .rank = a->rank ? a->rank : 8,
                                .alpha = a->alpha != 0 ? a->alpha : 8,
                                .dropout = a->dropout,
                                .rslora = a->rslora };
    if (!a->m) wg_raise(WG_EARG, "lora_add: the module is NULL");
    if (wg_error_code() || !wgi_lora_config_fits(&c, "lora_add")) return;
    const wgi_lora_sites sites = wgi_lora_sites_of(a->m);
    const char *patterns = a->pattern ? a->pattern : QUERIES_KEYS_VALUES;
    char *list = wg_scope_alloc(strlen(patterns) + 1);
    bool *chosen = wg_scope_alloc((size_t)sites.n + 1);
    const wgi_lora_site **picked = wg_scope_alloc(((size_t)sites.n + 1) * sizeof *picked);
    if (!list || !chosen || !picked) return;
    strcpy(list, patterns);
    for (char *p; (p = next_pattern(&list));)
        if (choose(a->m, &sites, p, !a->pattern, chosen) != WG_OK) return;
    int64_t n = 0;
    for (int64_t i = 0; i < sites.n; i++)
        if (chosen[i]) picked[n++] = &sites.s[i];
    if (!n)
        wg_raise(WG_ENOTFOUND, "lora_add: no linear is called like attention's projections (%s)",
                 patterns);
    wg_module **made = wg_error_code() ? NULL : wgi_lora_make(picked, n, &c);
    if (made) wgi_lora_put_in(a->m, picked, made, n, !a->train_base);
}

wg_status wg_lora_call(wg_lora_args a)
{
    const wg_scope s = wg_scope_push();
    add(&a);
    return wg_scope_pop(s);
}

int64_t wg_lora_count(wg_module *m)
{
    const wg_scope s = wg_scope_push();
    const wg_modules all = wg_module_all(m);
    int64_t n = 0;
    for (int64_t i = 0; i < all.n; i++) n += wg_module_is(all.m[i].module, &wg_lora_type);
    wg_scope_return(s, NULL);
    return n;
}
