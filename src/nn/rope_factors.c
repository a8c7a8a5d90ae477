/* What rope's frequencies are divided by, as a configuration says. */
#include <math.h>

#include "wengert/error.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

#include "nn/parts.h"

/* Wavelengths in positions; source: transformers, modeling_rope_utils.py,
 * _compute_llama3_parameters. */
static double llama3_factor(const wg_rope_scaling *s, double wavelength)
{
    const double context = (double)s->original_context;
    if (wavelength < context / s->high_freq_factor) return 1;
    if (wavelength > context / s->low_freq_factor) return s->factor;
    const double kept =
        (context / wavelength - s->low_freq_factor) / (s->high_freq_factor - s->low_freq_factor);
    return 1 / ((1 - kept) / s->factor + kept);
}

wg_tensor *wg_rope_factors(const wg_transformer_config *c)
{
    const wg_rope_scaling *s = &c->rope_scaling;
    if (c->position != WG_POS_ROPE || s->kind == WG_ROPE_PLAIN) return NULL;
    const int64_t half = c->head_size / 2;
    const wg_scope scope = wg_scope_push();
    wg_use_device(wg_cpu());
    wg_tensor *factors = wg_empty(WG_DIMS(half), WG_F32);
    float *f = wg_data_write(factors);
    for (int64_t k = 0; f && k < half; k++) {
        const double frequency = pow(c->rope_base, -2.0 * (double)k / (double)c->head_size);
        f[k] = (float)(s->kind == WG_ROPE_LINEAR ? s->factor
                                                 : llama3_factor(s, 2 * acos(-1.0) / frequency));
    }
    return wg_scope_return(scope, factors);
}

void wg_transformer_set_rope_factors(wg_module *m, wg_tensor *factors)
{
    const wg_transformer_config *c = wg_transformer_config_of(m);
    if (!c) return;
    if (c->position != WG_POS_ROPE || (factors && (wg_is_error(factors) || wg_ndim(factors) != 1 ||
                                                   wg_size(factors, 0) != c->head_size / 2 ||
                                                   !wg_dtype_is_float(wg_dtype_of(factors))))) {
        wg_raise(WG_ESHAPE,
                 "transformer_set_rope_factors: factors should be (%lld), floating, of a "
                 "transformer with rope",
                 (long long)(c->head_size / 2));
        return;
    }
    const wg_scope s = wg_scope_push();
    const wg_modules all = wg_module_all(m);
    for (int64_t i = 0; i < all.n; i++)
        if (wg_module_is(all.m[i].module, &wg_attention_type))
            wgi_attention_rope_factors(all.m[i].module, factors);
    wg_scope_return(s, NULL);
}
