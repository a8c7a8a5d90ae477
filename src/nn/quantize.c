/* Weights of linear layers as blocks. */
#include <stdio.h>

#include "nn/parts.h"
#include "nn/state.h"
#include "wengert/error.h"
#include "wengert/nn.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

/* The weight of a Linear under its full name, if it is meant and has whole blocks; else NULL. */
static wg_tensor *meant(const wg_named_module *l, const char *pattern, wg_dtype t, char name[512],
                        bool *matches)
{
    if (!wg_module_is(l->module, &wg_linear_type)) return NULL;
    snprintf(name, 512, "%s%sweight", l->name, *l->name ? "." : "");
    if (pattern && !wg_match(pattern, name)) return NULL;
    *matches = true;
    if (wgi_linear_in_out(l->module)) return NULL;
    wg_tensor *w = wg_module_tensor(l->module, "weight");
    return wg_dtype_of(w) != t && wg_size(w, -1) % wg_dtype_block(t) == 0 ? w : NULL;
}

void wg_module_quantize(wg_module *m, const char *pattern, wg_dtype t)
{
    if (wgi_no_module(m, "module_quantize") || wg_error_code() != WG_OK) return;
    if (wg_dtype_block(t) <= 1) {
        wg_raise(WG_EDTYPE, "module_quantize: %s has no blocks", wg_dtype_name(t));
        return;
    }
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const wg_modules all = wg_module_all(m);
    char name[512];
    bool matches = false;
    for (int64_t i = 0; i < all.n && wg_error_code() == WG_OK; i++) { /* before anything changes */
        wg_tensor *w = meant(&all.m[i], pattern, t, name, &matches);
        if (w) (void)!wgi_parameter_free_of_graph(w, name);
    }
    if (pattern && !matches)
        wg_raise(WG_ENOTFOUND, "module_quantize: no Linear's weight is called \"%s\"", pattern);
    for (int64_t i = 0; i < all.n && wg_error_code() == WG_OK; i++) {
        wg_scope one = wg_scope_push();
        wg_tensor *w = meant(&all.m[i], pattern, t, name, &matches);
        if (w) wg_module_put(all.m[i].module, "weight", wg_cast(w, t));
        wg_scope_return(one, NULL);
    }
    wg_scope_return(s, NULL);
}
