/* What the layers of this folder share. Built on the public headers alone, as a user's own layers
 * would be. */
#ifndef WGI_NN_PARTS_H
#define WGI_NN_PARTS_H
#include "wengert/nn.h"

/* ---- checks of a configuration: parts.c; each raises WG_EARG, naming m's type, and answers false
 */
bool wgi_has_config(const wg_module *m, const void *config);
/* 1 <= value <= 2^30: products of three such sizes stay inside int64_t. */
bool wgi_positive(const wg_module *m, const char *name, int64_t value);
bool wgi_divides(const wg_module *m, const char *divisor, int64_t d, const char *name,
                 int64_t value);

/* U(-bound, bound) of this shape: linear.c */
wg_tensor *wgi_uniform_weight(wg_dims shape, double bound);

/* m is a linear that nobody watches: its weight (out, in) and bias (NULL: none): linear.c */
bool wgi_linear_is_plain(const wg_module *m, wg_tensor **weight, wg_tensor **bias);
/* wg_forward_add takes one op for m and x: linear.c */
bool wgi_linear_adds(const wg_module *m, wg_tensor *x);
/* m, a linear, keeps its weight as (in, out): linear.c */
bool wgi_linear_in_out(const wg_module *m);

/* Runs x through step 0 .. n-1 and lets go of each result once the next is made, so that without a
 * tape only two live at a time: sequence.c. The result is the innermost scope's. */
typedef wg_tensor *(*wgi_step)(void *self, int64_t i, wg_tensor *x);
wg_tensor *wgi_chain(int64_t n, wgi_step step, void *self, wg_tensor *x);

/* ---- transformers ---------------------------------------------------------------------------- */
/* A convention of parameter names. */
typedef struct {
    const char *embed, *position, *layers, *norm, *head; /* the model's children */
    const char *norm_1, *attention, *norm_2, *mlp;       /* a block's */
    const char *qkv; /* attention's: fused; NULL: q, k, v apart */
    const char *q, *k, *v, *out;
    const char *up, *down;                    /* an MLP's */
    const char *gate, *gated_up, *gated_down; /* a gated one's */
} wgi_names;
const wgi_names *wgi_names_of(wg_name_table table); /* names.c */

enum { WGI_NEEDS_ATTENTION = 1, WGI_NEEDS_MLP = 2, WGI_NEEDS_MODEL = 4 };
/* Checks what m's kind of part needs of the configuration and fills its defaults into out: config.c
 */
bool wgi_transformer_config(const wg_module *m, const void *config, unsigned needs,
                            wg_transformer_config *out);
/* The norm that c names: config.c */
wg_module *wgi_norm_new(const wg_transformer_config *c);
/* m, an attention, takes a reference to factors: attention.c */
void wgi_attention_rope_factors(wg_module *m, wg_tensor *factors);
wg_tensor *wgi_activate(wg_activation a, wg_tensor *x); /* mlp.c */
/* r + m's output for x, the sum in m's last product; NULL, and nothing has happened, where it cannot be: another kind of
 * module, one that is watched or drops out: attention.c, mlp.c */
wg_tensor *wgi_attention_add(wg_module *m, wg_tensor *x, const wg_step *step, wg_tensor *r);
wg_tensor *wgi_mlp_add(wg_module *m, wg_tensor *x, wg_tensor *r);

/* A step that carries nothing: wg_forward says the same. */
static inline bool wgi_step_is_plain(const wg_step *s)
{
    return !s || (!s->positions && !s->mask && !s->cache && s->last == 0);
}
/* The typed forward m_step, or wg_forward where the step carries nothing (so that hooks and
 * summaries see it). */
static inline wg_tensor *wgi_forward_step(wg_module *m, wg_tensor *x, const wg_step *s,
                                          wg_tensor *(*typed)(wg_module *, wg_tensor *,
                                                              const wg_step *))
{
    return wgi_step_is_plain(s) ? wg_forward(m, x) : typed(m, x, s);
}
#endif
