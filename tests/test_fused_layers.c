/* Layers that run several ops as one: losses and gradients of whole models have the bits of the separate ops, which every
 * module with a hook runs; and what such layers refuse. */
#include "transformer_check.h"

static void look(void *self, wg_module *m, wg_tensor *x, wg_tensor *y)
{
    (void)m, (void)x, (void)y;
    ++*(int64_t *)self;
}

static void hook(void *seen, wg_module *m)
{
    wg_module_hook(m, look, seen);
}

typedef struct {
    wg_transformer_config config;
    wg_dtype weights, autocast; /* 0: f32; none */
    int64_t B, T;
    const char *what;
} model_case;

/* The loss, then every gradient, of two backward passes that add up. */
static wg_list results(const model_case *k, bool apart)
{
    int64_t seen = 0;
    wg_seed(7);
    wg_module *m = wg_transformer_new(&k->config);
    if (k->weights) wg_module_cast(m, k->weights);
    if (apart) wg_module_apply(m, hook, &seen);
    wg_tensor *loss = NULL;
    for (int pass = 0; pass < 2; pass++) {
        wg_scope s = wg_scope_push();
        wg_tensor *x = wg_randint(0, k->config.vocab, WG_DIMS(k->B, k->T)),
                  *y = wg_randint(0, k->config.vocab, WG_DIMS(k->B, k->T));
        wg_scope autocast = wg_scope_push();
        if (k->autocast) wg_use_autocast(k->autocast);
        loss = wg_scope_return(autocast, wg_transformer_loss(m, x, y));
        wg_backward(loss);
        loss = wg_scope_return(s, wg_detach(loss));
    }
    expect_no_error();
    ck_assert_int_eq(seen > 0, apart);
    wg_list g = gradients(m), all = wg_list_new(g.n + 1);
    for (int64_t i = 0; i < g.n; i++) all.t[i + 1] = g.t[i];
    all.t[0] = loss;
    wg_module_free(m);
    return all;
}

static void compare(const model_case *k)
{
    wg_scope s = wg_scope_push();
    wg_list fused = results(k, false), apart = results(k, true);
    ck_assert_int_eq(fused.n, apart.n);
    for (int64_t i = 0; i < fused.n; i++)
        ck_assert_msg(same_bits(fused.t[i], apart.t[i]), "%s: result %lld differs, by %g", k->what,
                      (long long)i, distance(fused.t[i], apart.t[i]));
    pop(s);
}

/* Wide enough for products in tiles, several blocks of rows in the norms' gradients, and rows that end in no vector. */
static wg_transformer_config gpt2(wg_activation activation, bool no_bias)
{
    wg_transformer_config c = wg_gpt2_config(2, 3, 84, 61, 80);
    c.activation = activation;
    c.no_bias = no_bias;
    return c;
}

START_TEST(models_give_the_bits_of_the_separate_ops)
{
    const wg_transformer_config llama = wg_llama_config(2, 4, 2, 72, 200, 61, 80);
    wg_transformer_config odd = gpt2(WG_ACT_GELU_TANH, false), geglu = llama;
    odd.hidden = 333;
    geglu.activation = WG_ACT_GELU;
    const model_case cases[] = {
        { gpt2(WG_ACT_GELU_TANH, false), 0, 0, 2, 80, "GPT-2" },
        { gpt2(WG_ACT_GELU, true), 0, 0, 2, 80, "GPT-2, erf" },
        { odd, 0, 0, 2, 40, "GPT-2, odd widths" },
        { geglu, 0, 0, 2, 40, "GEGLU" },
        { gpt2(WG_ACT_RELU, false), 0, 0, 1, 1, "GPT-2, relu, one token" },
        { gpt2(WG_ACT_SILU, false), WG_F64, 0, 1, 40, "GPT-2, silu, f64" },
        { gpt2(WG_ACT_GELU_TANH, false), WG_BF16, 0, 2, 80, "GPT-2, bf16" },
        { gpt2(WG_ACT_GELU_TANH, false), WG_F16, 0, 2, 40, "GPT-2, f16" },
        { gpt2(WG_ACT_GELU_TANH, false), 0, WG_BF16, 2, 80, "GPT-2, autocast" },
        { llama, 0, 0, 2, 80, "Llama" },
        { llama, WG_BF16, 0, 2, 40, "Llama, bf16" },
        { llama, 0, WG_BF16, 2, 80, "Llama, autocast" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) compare(&cases[i]);
}
END_TEST

static int64_t calls(const wg_profile *p, const char *op)
{
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->row[i].op, op) == 0) return p->row[i].calls;
    return 0;
}

/* What a step of two GPT-2 layers runs: nothing is added, normalised or activated by itself but the residual of the MLPs and
 * of the positions, and the norms at the start of the layers and of the head. */
START_TEST(a_step_runs_the_fused_ops)
{
    wg_scope s = begin();
    const wg_transformer_config c = small_gpt2();
    for (int apart = 0; apart < 2; apart++) {
        int64_t seen = 0;
        wg_module *m = wg_transformer_new(&c);
        if (apart) wg_module_apply(m, hook, &seen);
        ck_assert_int_eq(wg_profile_start(0), WG_OK);
        wg_backward(wg_transformer_loss(m, some_tokens(2, 8), some_tokens(2, 8)));
        const wg_profile p = wg_profile_stop();
        expect_no_error();
        ck_assert_int_eq(calls(&p, "add_layer_norm"), apart ? 0 : 2);
        ck_assert_int_eq(calls(&p, "layer_norm"), apart ? 5 : 3);
        ck_assert_int_eq(calls(&p, "layer_norm_backward"), 5);
        ck_assert_int_eq(calls(&p, "linear_act"), apart ? 0 : 2);
        ck_assert_int_eq(calls(&p, "linear_act_backward"), apart ? 0 : 2);
        ck_assert_int_eq(calls(&p, "gelu"), apart ? 2 : 0);
        ck_assert_int_eq(calls(&p, "unary_backward"), apart ? 2 : 0);
        wg_module_free(m);
    }
    pop(s);
}
END_TEST

static void recompute_blocks(void *self, wg_module *m)
{
    (void)self;
    if (wg_module_is(m, &wg_block_type)) wg_module_recompute(m, true);
}

START_TEST(recomputed_blocks_of_fused_ops_give_the_same_bits)
{
    wg_scope s = begin();
    const wg_transformer_config c = small_gpt2();
    wg_module *m = wg_transformer_new(&c);
    wg_tensor *x = some_tokens(2, 8), *y = some_tokens(2, 8);
    wg_backward(wg_transformer_loss(m, x, y));
    wg_list kept = gradients(m);
    wg_module_apply(m, recompute_blocks, NULL);
    wg_backward(wg_transformer_loss(m, x, y));
    wg_list again = gradients(m);
    for (int64_t i = 0; i < kept.n; i++) ck_assert(same_bits(kept.t[i], again.t[i]));
    wg_module_free(m);
    pop(s);
}
END_TEST

static wg_tensor *keep_and_pass(void *self, wg_tensor *d)
{
    wg_set((wg_tensor **)self, d);
    return NULL;
}

/* A cotangent that something looks at is made as ever: a hook on y, wg_grad at y, and the second derivative. And y may go
 * into several layers and other ops. */
START_TEST(what_looks_at_a_cotangent_between_two_fused_ops_sees_it)
{
    wg_scope s = begin();
    wg_use_dtype(WG_F64);
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(5, 6))), *w = wg_randn(WG_DIMS(7, 6)),
              *v = wg_randn(WG_DIMS(3, 7)), *u = wg_randn(WG_DIMS(2, 7)), *seen = NULL;
    for (int watched = 0; watched < 3; watched++) {
        wg_tensor *sums[2], *at[2] = { NULL, NULL };
        for (int fused = 0; fused < 2; fused++) {
            wg_tensor *y =
                fused ? wg_linear_act(x, w, NULL, WG_ACT_SILU) : wg_silu(wg_linear(x, w, NULL));
            if (watched == 1) wg_hook(y, keep_and_pass, &seen);
            wg_tensor *loss = wg_add(wg_sum(wg_square(wg_linear(y, v, NULL)), WG_ALL, false),
                                     wg_add(wg_sum(wg_exp(wg_linear(y, u, NULL)), WG_ALL, false),
                                            wg_sum(wg_square(y), WG_ALL, false)));
            wg_list d = WG_LIST(NULL, NULL);
            if (watched == 2)
                ck_assert_int_eq(wg_grad(WG_LIST(loss), WG_LIST(y, x), WG_NO_LIST, 0, d), WG_OK);
            else
                wg_backward(loss);
            at[fused] = watched == 2 ? d.t[0] : watched == 1 ? wg_affine(seen, 1, 0) : NULL;
            sums[fused] = watched == 2 ? d.t[1] : wg_affine(wg_grad_of(x), 1, 0);
            wg_drop_grad(x);
        }
        expect_no_error();
        ck_assert(distance(sums[1], sums[0]) < 1e-13);
        if (watched) ck_assert(distance(at[1], at[0]) < 1e-13);
    }
    wg_set(&seen, NULL);
    pop(s);
}
END_TEST

START_TEST(norm_add_is_the_sum_and_its_norm)
{
    wg_scope s = begin();
    wg_module *modules[] = { wg_layer_norm_new(6), wg_layer_norm_new(6, .no_affine = true),
                             wg_rms_norm_new(6, 1e-3), wg_linear_new(6, 4) };
    wg_tensor *x = wg_randn(WG_DIMS(5, 6)), *r = wg_randn(WG_DIMS(5, 6)),
              *row = wg_randn(WG_DIMS(6));
    for (int i = 0; i < 4; i++) {
        wg_tensor *sum = NULL, *y = wg_norm_add(modules[i], x, r, &sum);
        ck_assert(same_bits(sum, wg_add(x, r)));
        ck_assert(same_bits(y, wg_forward(modules[i], sum)));
        ck_assert(same_bits(wg_norm_add(modules[i], x, r, NULL), y));
        y = wg_norm_add(modules[i], x, row, &sum); /* broadcast: apart */
        ck_assert(same_bits(sum, wg_add(x, row)) && same_bits(y, wg_forward(modules[i], sum)));
        wg_module_recompute(modules[i], true);
        ck_assert(
            same_bits(wg_norm_add(modules[i], x, r, NULL), wg_forward(modules[i], wg_add(x, r))));
    }
    expect_no_error();
    wg_tensor *sum = NULL;
    ck_assert(wg_is_error(wg_norm_add(NULL, x, r, &sum)));
    fails(WG_EARG, "the module is NULL");
    ck_assert(wg_is_error(wg_norm_add(modules[0], x, NULL, &sum)) && wg_is_error(sum));
    fails(WG_EARG, "");
    ck_assert(wg_is_error(wg_norm_add(modules[0], x, wg_randn(WG_DIMS(4)), &sum)));
    fails(WG_ESHAPE, "");
    for (int i = 0; i < 4; i++) wg_module_free(modules[i]);
    pop(s);
}
END_TEST

START_TEST(forward_act_is_the_layer_and_its_activation)
{
    wg_scope s = begin();
    wg_module *modules[] = { wg_linear_new(6, 70), wg_linear_new(6, 70, .no_bias = true),
                             wg_linear_new(6, 70, .in_out = true), wg_rms_norm_new(6, 0) };
    wg_tensor *x = wg_randn(WG_DIMS(5, 7, 6));
    for (int i = 0; i < 4; i++)
        for (int act = 0; act < 4; act++) {
            wg_tensor *h = wg_forward(modules[i], x);
            wg_tensor *want = act == WG_ACT_RELU   ? wg_relu(h)
                              : act == WG_ACT_SILU ? wg_silu(h)
                                                   : wg_gelu(h, act == WG_ACT_GELU_TANH);
            ck_assert(same_bits(wg_forward_act(modules[i], x, (wg_activation)act), want));
            wg_scope inner = wg_scope_push();
            wg_use_grad(false); /* h is not kept: y is made in its place */
            ck_assert(same_bits(wg_forward_act(modules[i], x, (wg_activation)act), want));
            pop(inner);
        }
    expect_no_error();
    ck_assert(wg_is_error(wg_forward_act(NULL, x, WG_ACT_GELU)));
    fails(WG_EARG, "the module is NULL");
    ck_assert(wg_is_error(wg_forward_act(modules[0], NULL, WG_ACT_GELU)));
    fails(WG_EARG, "x is NULL");
    ck_assert(wg_is_error(wg_forward_act(modules[0], x, (wg_activation)9)));
    fails(WG_EARG, "activation 9 is none of wg_activation");
    ck_assert(wg_is_error(wg_forward_act(modules[3], x, (wg_activation)9)));
    fails(WG_EARG, "activation 9 is none of wg_activation");
    for (int i = 0; i < 4; i++) wg_module_free(modules[i]);
    pop(s);
}
END_TEST

/* Products in tiles and thin ones, by f32, f64 and 16 bits, rows that end in no vector; into y, and into y beside h. */
START_TEST(linear_act_has_the_bits_of_linear_and_the_activation)
{
    static const wg_dtype types[] = { WG_F64, WG_F32, WG_BF16, WG_F16 };
    static const int64_t rows[] = { 1, 3, 17, 300 }, widths[] = { 1, 9, 130, 1100 };
    for (int i = 0; i < 4 * 4 * 4; i++) {
        wg_scope s = begin();
        const wg_dtype type = types[i % 4];
        wg_tensor *x = wg_cast(wg_randn(WG_DIMS(rows[i / 4 % 4], 33)), type),
                  *w = wg_cast(wg_randn(WG_DIMS(widths[i / 16], 33)), type),
                  *b = wg_cast(wg_randn(WG_DIMS(widths[i / 16])), i % 3 ? type : WG_F32);
        for (int tape = 0; tape < 2; tape++) {
            if (tape) x = wg_require_grad(wg_detach(x));
            wg_tensor *want = wg_gelu(wg_linear(x, w, b), true);
            ck_assert_msg(same_bits(wg_linear_act(x, w, b, WG_ACT_GELU_TANH), want),
                          "%s, %lld x %lld", wg_dtype_name(type), (long long)wg_size(x, 0),
                          (long long)wg_size(w, 0));
        }
        pop(s);
    }
}
END_TEST

/* Cotangents that something else holds are not written: the sum's, given by the user, and one tensor added to itself. */
START_TEST(the_residual_cotangent_is_added_to_only_where_nobody_sees_it)
{
    wg_scope s = begin();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(40, 6))),
              *w = wg_require_grad(wg_randn(WG_DIMS(6))), *sum = NULL;
    wg_tensor *dy = wg_randn(WG_DIMS(40, 6)), *ds = wg_randn(WG_DIMS(40, 6)),
              *kept = wg_affine(ds, 1, 0);
    wg_tensor *y = wg_add_rms_norm(x, x, w, &sum);
    wg_list dx = WG_LIST(NULL, NULL), want = WG_LIST(NULL, NULL), both = WG_LIST(NULL, NULL, NULL);
    ck_assert_int_eq(wg_grad(WG_LIST(y, sum), WG_LIST(x, w), WG_LIST(dy, ds), 0, dx), WG_OK);
    ck_assert(same_bits(ds, kept));
    wg_tensor *twice = wg_add(x, x), *apart = wg_rms_norm(twice, w);
    ck_assert_int_eq(wg_grad(WG_LIST(apart, twice), WG_LIST(x, w), WG_LIST(dy, ds), 0, want),
                     WG_OK);
    ck_assert(same_bits(dx.t[0], want.t[0]) && same_bits(dx.t[1], want.t[1]));
    y = wg_add_rms_norm(x, x, w, &sum); /* the sum's own gradient is wanted, too */
    wg_tensor *loss = wg_sum(wg_mul(wg_mul(y, dy), wg_square(sum)), WG_ALL, false);
    ck_assert_int_eq(wg_grad(WG_LIST(loss), WG_LIST(sum, x, w), WG_NO_LIST, 0, both), WG_OK);
    wg_tensor *part = wg_mul(wg_mul(wg_mul(y, dy), sum), wg_full(WG_DIMS(), 2));
    ck_assert(distance(both.t[0], part) < 1e-5); /* not what y adds to it */
    expect_no_error();
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        models_give_the_bits_of_the_separate_ops,
        a_step_runs_the_fused_ops,
        recomputed_blocks_of_fused_ops_give_the_same_bits,
        what_looks_at_a_cotangent_between_two_fused_ops_sees_it,
        norm_add_is_the_sum_and_its_norm,
        forward_act_is_the_layer_and_its_activation,
        linear_act_has_the_bits_of_linear_and_the_activation,
        the_residual_cotangent_is_added_to_only_where_nobody_sees_it,
        NULL,
    };
    return suite_run("fused layers", tests);
}
