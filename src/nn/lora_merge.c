/* Taking adapters out again: merged into the weights, or dropped. */
#include "nn/lora.h"
#include "nn/parts.h"
#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* The Linear returns to its place; the adapter is freed. */
static void take_out(wg_module *m, const wgi_lora_site *site)
{
    wg_module *linear = wg_module_swap(&site->adapter->base, "", NULL);
    wg_module_free(wg_module_swap(m, site->path, linear));
}

void wg_lora_remove(wg_module *m)
{
    const wg_scope s = wg_scope_push();
    const wgi_lora_sites sites = wgi_lora_sites_of(m);
    for (int64_t i = 0; i < sites.n; i++)
        if (sites.s[i].adapter) take_out(m, &sites.s[i]);
    wg_scope_return(s, NULL);
}

/* Every module's own tensors: a tied one once for each module that has it. */
typedef struct {
    int64_t n;
    wg_param_ref *p;
} holders;

static holders holders_of(wg_module *m)
{
    const wg_modules all = wg_module_all(m);
    holders h = { 0, NULL };
    for (int pass = 0; pass < 2; pass++) { /* counts, then fills */
        if (pass == 1 && !(h.p = wg_scope_alloc(((size_t)h.n + 1) * sizeof *h.p))) break;
        h.n = 0;
        for (int64_t i = 0; i < all.n; i++) {
            const wg_params p = wg_module_state(all.m[i].module);
            for (int64_t j = 0; j < p.n && p.p[j].owner == all.m[i].module; j++, h.n++)
                if (h.p) h.p[h.n] = p.p[j];
        }
    }
    return h;
}

static bool is_tied(const holders *h, const wgi_lora_site *site)
{
    const wg_tensor *weight = wg_module_tensor(site->linear, "weight");
    for (int64_t i = 0; h->p && i < h->n; i++)
        if (h->p[i].tensor == weight && h->p[i].owner != site->linear) return true;
    return false;
}

/* W + scale B A, computed in the adapter's dtype, laid out as W is; in W's dtype, or if that is one of
 * blocks in the adapter's. */
static wg_tensor *merged(const wgi_lora_site *site, wg_tensor *weight)
{
    const wgi_lora *l = site->adapter;
    wg_tensor *low = wg_matmul(l->b, wg_affine(l->a, l->scale, 0)); /* (out, in) */
    if (wgi_linear_in_out(site->linear)) low = wg_transpose(low, 0, 1);
    const wg_dtype t = wg_dtype_of(weight), wide = wg_dtype_of(low);
    return wg_cast(wg_add(wg_cast(weight, wide), low), wg_dtype_is_float(t) ? t : wide);
}

static wg_status merge_one(wg_module *m, const wgi_lora_site *site)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_module_put(site->linear, "weight", merged(site, wg_module_tensor(site->linear, "weight")));
    if (wg_error_code() == WG_OK) take_out(m, site);
    return wg_scope_pop(s);
}

wg_status(wg_lora_merge)(wg_module *m)
{
    const wg_scope s = wg_scope_push();
    const wgi_lora_sites sites = wgi_lora_sites_of(m);
    const holders h = holders_of(m);
    for (int64_t i = 0; i < sites.n; i++)
        if (sites.s[i].adapter && is_tied(&h, &sites.s[i]))
            wg_raise(WG_EARG, "lora_merge: %s.weight is tied: another module would change with it",
                     sites.s[i].path);
    for (int64_t i = 0; i < sites.n && !wg_error_code(); i++)
        if (sites.s[i].adapter) (void)!merge_one(m, &sites.s[i]);
    return wg_scope_pop(s);
}
