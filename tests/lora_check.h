/* What the tests of adapters share: small models, their logits, training, names. */
#ifndef LORA_CHECK_H
#define LORA_CHECK_H
#include <stdint.h>

#include "nn_check.h"

enum { V = 40, T = 12, N = 3 };

static inline wg_module *gpt2(void)
{
    wg_transformer_config c = wg_gpt2_config(2, 2, 16, V, T);
    wg_module *m = wg_transformer_new(&c);
    expect_no_error();
    return m;
}

static inline wg_module *llama(wg_name_table names, bool adjacent)
{
    wg_transformer_config c = wg_llama_config(2, 4, 2, 32, 24, V, T);
    c.names = names;
    c.rope_adjacent = adjacent;
    wg_module *m = wg_transformer_new(&c);
    expect_no_error();
    return m;
}

static inline wg_tensor *tokens(void)
{
    int64_t ids[N * T];
    for (int i = 0; i < N * T; i++) ids[i] = (i * 7 + i / 5 * 3) % V;
    return wg_from(ids, sizeof ids, WG_I64, WG_DIMS(N, T));
}

static inline wg_tensor *logits(wg_module *m)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const bool mode = m->training;
    wg_module_train(m, false);
    wg_tensor *y = wg_forward(m, tokens());
    wg_module_train(m, mode);
    return wg_scope_return(s, y);
}

/* A few steps; the losses of the first and the last. */
static inline void train(wg_module *m, int steps, double loss[2])
{
    wg_optim *o = wg_adamw_new(m, .lr = 1e-2);
    for (int i = 0; i < steps; i++) {
        const wg_scope s = wg_scope_push();
        wg_tensor *x = tokens();
        wg_tensor *l = wg_transformer_loss(m, x, wg_flip(x, WG_DIMS(1)));
        wg_backward(l);
        wg_optim_step(o);
        loss[i > 0] = wg_item(l);
        pop(s);
    }
    wg_optim_free(o);
}

/* Random numbers in every B, so that adapters do something. */
static inline void fill(wg_module *m)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++)
        if (wg_match("*lora_B.weight", p.p[i].name))
            ck_assert_int_eq(
                wg_assign(p.p[i].tensor, wg_affine(wg_randn(wg_shape(p.p[i].tensor)), 0.1, 0)),
                WG_OK);
    pop(s);
}

static inline wg_list copies(wg_module *m, const char *pattern)
{
    const wg_params p = wg_module_params(m);
    wg_list out = wg_list_new(p.n);
    for (int64_t i = 0; i < p.n; i++)
        if (wg_match(pattern, p.p[i].name)) out.t[i] = wg_affine(p.p[i].tensor, 1, 0);
    return out;
}

/* Names, in order, of all modules and parameters. */
static inline char *names_of(wg_module *m)
{
    static char text[2][16384];
    static int turn;
    char *out = text[turn++ % 2];
    const wg_scope s = wg_scope_push();
    const wg_modules all = wg_module_all(m);
    size_t n = 0;
    for (int64_t i = 0; i < all.n; i++)
        n += (size_t)snprintf(out + n, sizeof text[0] - n, "%s:%s\n", all.m[i].name,
                              all.m[i].module->type->name);
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++)
        n += (size_t)snprintf(out + n, sizeof text[0] - n, "%s %d\n", p.p[i].name,
                              wg_requires_grad(p.p[i].tensor));
    ck_assert_uint_lt(n, sizeof text[0]);
    pop(s);
    return out;
}
#endif
