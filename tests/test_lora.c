/* Low-rank adapters: what they compute, what learns, merging, removing. */
#include "folder.h"
#include "lora_check.h"

/* ---- what learns ----------------------------------------------------------------------------- */

START_TEST(a_new_adapter_changes_no_bit)
{
    wg_scope s = begin();
    wg_module *models[] = { gpt2(), llama(WG_NAMES_HF_LLAMA, false),
                            llama(WG_NAMES_META_LLAMA, true) };
    const int64_t adapters[] = { 2, 6, 6 };
    for (int i = 0; i < 3; i++) {
        wg_tensor *before = logits(models[i]);
        ck_assert_int_eq(wg_lora_add(models[i], .rank = 4), WG_OK);
        ck_assert_int_eq(wg_lora_count(models[i]), adapters[i]);
        ck_assert(same_bits(before, logits(models[i])));
        wg_module_free(models[i]);
    }
    pop(s);
}
END_TEST

START_TEST(only_the_adapters_learn)
{
    wg_scope s = begin();
    wg_module *m = llama(WG_NAMES_HF_LLAMA, false);
    ck_assert_int_eq(
        wg_lora_add(m, .rank = 4, .alpha = 16, .dropout = 0.1, .pattern = "*_proj, lm_head"),
        WG_OK);
    ck_assert_int_eq(wg_lora_count(m), 2 * 7 + 1);
    wg_list base = copies(m, "*");
    double loss[2];
    train(m, 20, loss);
    ck_assert_double_lt(loss[1], loss[0] - 0.1);
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) {
        const bool adapter = wg_match("*.lora_?.weight", p.p[i].name);
        ck_assert_int_eq(wg_requires_grad(p.p[i].tensor), adapter);
        ck_assert_msg(same_bits(base.t[i], p.p[i].tensor) != adapter, "%s", p.p[i].name);
    }
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(with_train_base_everything_learns)
{
    wg_scope s = begin();
    wg_module *m = gpt2();
    ck_assert_int_eq(wg_lora_add(m, .train_base = true), WG_OK);
    wg_backward(wg_transformer_loss(m, tokens(), tokens()));
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) ck_assert(wg_grad_of(p.p[i].tensor) != NULL);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_second_round_of_adapters_keeps_the_first_learning)
{
    wg_scope s = begin();
    wg_module *m = gpt2();
    ck_assert_int_eq(wg_lora_add(m, .rank = 2), WG_OK);
    ck_assert_int_eq(wg_lora_add(m, .rank = 3, .pattern = "*.mlp.*"), WG_OK);
    ck_assert_int_eq(wg_lora_count(m), 6);
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++)
        ck_assert_int_eq(wg_requires_grad(p.p[i].tensor), wg_match("*.lora_?.weight", p.p[i].name));
    wg_module_free(m);
    pop(s);
}
END_TEST

typedef struct {
    wg_module base;
    wg_module *linear;
} holder;
static void holder_init(wg_module *m, const void *config)
{
    wg_child(m, "linear", &((holder *)m)->linear,
             wg_linear_new(3, 5, .in_out = *(const bool *)config));
}
static wg_tensor *holder_forward(wg_module *m, wg_tensor *x)
{
    return wg_forward(((holder *)m)->linear, x);
}
static const wg_module_type holder_type = {
    .name = "holder", .size = sizeof(holder), .init = holder_init, .forward = holder_forward
};

START_TEST(gradients_are_right_in_f64_and_merging_is_exact)
{
    for (int in_out = 0; in_out < 2; in_out++) {
        wg_scope s = begin();
        wg_use_dtype(WG_F64);
        wg_module *m = wg_module_new(&holder_type, &(bool) { in_out });
        ck_assert_int_eq(wg_lora_add(m, .rank = 2, .alpha = 3, .pattern = "linear", .rslora = true,
                                     .train_base = true),
                         WG_OK);
        fill(m);
        wg_tensor *x = wg_randn(WG_DIMS(4, 3));
        ck_assert_int_eq(wg_module_gradcheck(m, x, NULL), WG_OK);
        wg_tensor *a = wg_module_tensor(m, "linear.lora_A.weight"),
                  *b = wg_module_tensor(m, "linear.lora_B.weight"), *y = wg_forward(m, x);
        ck_assert_int_eq(wg_dtype_of(a), WG_F64);
        wg_tensor *w = wg_module_tensor(m, "linear.weight");
        if (in_out) w = wg_transpose(w, 0, 1);
        wg_tensor *want = wg_linear(x, w, wg_module_tensor(m, "linear.bias"));
        want = wg_add(want, wg_affine(wg_linear(x, wg_matmul(b, a), NULL), 3 / sqrt(2), 0));
        ck_assert_double_lt(distance(y, want), 1e-14);
        ck_assert_int_eq(wg_lora_merge(m), WG_OK);
        ck_assert(wg_module_is(wg_module_at(m, "linear"), &wg_linear_type));
        ck_assert_double_lt(distance(wg_forward(m, x), want), 1e-14);
        wg_module_free(m);
        pop(s);
    }
}
END_TEST

START_TEST(dropout_acts_only_while_training_and_only_on_the_adapter)
{
    wg_scope s = begin();
    wg_use_grad(false);
    wg_module *m = wg_module_new(&holder_type, &(bool) { false });
    ck_assert_int_eq(wg_lora_add(m, .pattern = "*", .dropout = 0.9), WG_OK);
    wg_tensor *x = wg_randn(WG_DIMS(4, 3)), *base = wg_forward(m, x);
    fill(m);
    wg_tensor *one = wg_forward(m, x), *other = wg_forward(m, x);
    ck_assert(!same_bits(one, other));
    wg_module_train(m, false);
    ck_assert(same_bits(wg_forward(m, x), wg_forward(m, x)));
    wg_lora_remove(m);
    ck_assert(same_bits(wg_forward(m, x), base));
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(sixteen_bit_streams_stay_so)
{
    wg_scope s = begin();
    wg_use_grad(false);
    wg_module *m = wg_module_new(&holder_type, &(bool) { false });
    wg_module_cast(m, WG_BF16);
    ck_assert_int_eq(wg_lora_add(m, .pattern = "linear"), WG_OK);
    fill(m);
    wg_tensor *x = wg_cast(wg_randn(WG_DIMS(4, 3)), WG_BF16), *y = wg_forward(m, x);
    ck_assert_int_eq(wg_dtype_of(y), WG_BF16);
    ck_assert_int_eq(wg_dtype_of(wg_module_tensor(m, "linear.lora_A.weight")), WG_F32);
    ck_assert_int_eq(wg_lora_merge(m), WG_OK);
    ck_assert_int_eq(wg_dtype_of(wg_module_tensor(m, "linear.weight")), WG_BF16);
    ck_assert_double_lt(distance(wg_forward(m, x), y), 0.02); /* two roundings of 2^-9 */
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_large_head_with_an_adapter_is_used_in_chunks)
{
    enum { LARGE_V = 20000, ROWS = 1000 };
    wg_scope s = begin();
    wg_transformer_config c = wg_gpt2_config(1, 1, 4, LARGE_V, 250);
    wg_module *m = wg_transformer_new(&c);
    ck_assert_int_eq(wg_lora_add(m, .rank = 2, .pattern = "lm_head,*.c_attn"), WG_OK);
    fill(m);
    static int64_t ids[2][ROWS];
    for (int i = 0; i < ROWS; i++) {
        ids[0][i] = i * 101 % LARGE_V;
        ids[1][i] = i % 3 ? i * 7 % LARGE_V : -1;
    }
    wg_tensor *x = wg_from(ids[0], sizeof ids[0], WG_I64, WG_DIMS(4, 250)),
              *y = wg_from(ids[1], sizeof ids[1], WG_I64, WG_DIMS(4, 250));
    double loss[2];
    int64_t peak[2];
    wg_list g[2];
    for (int whole = 0; whole < 2; whole++) {
        const int64_t before = wg_memory_stats(wg_cpu()).current;
        wg_memory_reset_peak(wg_cpu());
        wg_scope inner = wg_scope_push();
        wg_tensor *l = whole ? wg_cross_entropy(wg_forward(m, x), y, .ignore_index = WG_JUST(-1))
                             : wg_transformer_loss(m, x, y);
        wg_backward(l);
        loss[whole] = wg_item(l);
        pop(inner);
        peak[whole] = wg_memory_stats(wg_cpu()).peak - before;
        const wg_params p = wg_module_params(m);
        g[whole] = wg_list_new(p.n);
        for (int64_t i = 0; i < p.n; i++) {
            if (!wg_requires_grad(p.p[i].tensor)) continue;
            g[whole].t[i] = wg_affine(wg_grad_of(p.p[i].tensor), 1, 0);
            wg_drop_grad(p.p[i].tensor);
        }
    }
    ck_assert_double_eq_tol(loss[0], loss[1], 1e-6 * loss[1]);
    int learned = 0;
    for (int64_t i = 0; i < g[0].n; i++) {
        if (!g[0].t[i]) continue;
        learned++;
        ck_assert_double_lt(distance(g[0].t[i], g[1].t[i]), 1e-5);
    }
    ck_assert_int_eq(learned, 4);
    ck_assert_msg(peak[0] < peak[1], "%lld bytes, whole: %lld", (long long)peak[0],
                  (long long)peak[1]);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(quantised_weights_stay_so_beside_adapters_and_merge_to_f32)
{
    wg_scope s = begin();
    wg_transformer_config c = wg_llama_config(2, 4, 2, 32, 64, V, T);
    c.names = WG_NAMES_HF_LLAMA;
    wg_module *m = wg_transformer_new(&c);
    {
        const wg_scope inner = wg_scope_push();
        const wg_params p = wg_module_params(m);
        for (int64_t i = 0; i < p.n; i++)
            if (wg_match("*_proj.weight", p.p[i].name))
                wg_module_put(m, p.p[i].name, wg_cast(wg_detach(p.p[i].tensor), WG_Q8_0));
        pop(inner);
    }
    wg_tensor *before = logits(m);
    ck_assert_int_eq(wg_lora_add(m, .rank = 4, .pattern = "*_proj"), WG_OK);
    ck_assert(same_bits(before, logits(m)));
    wg_tensor *weight = wg_module_tensor(m, "model.layers.0.mlp.up_proj.weight");
    ck_assert_int_eq(wg_dtype_of(weight), WG_Q8_0);
    ck_assert_int_eq(wg_dtype_of(wg_module_tensor(m, "model.layers.0.mlp.up_proj.lora_A.weight")),
                     WG_F32);
    double loss[2];
    train(m, 20, loss);
    ck_assert_double_lt(loss[1], loss[0] - 0.1);
    ck_assert_int_eq(wg_dtype_of(weight), WG_Q8_0);
    wg_tensor *adapted = logits(m);
    ck_assert_int_eq(wg_lora_save(m, in_folder("adapter")), WG_OK);
    ck_assert_int_eq(wg_lora_merge(m), WG_OK);
    ck_assert_int_eq(wg_dtype_of(weight), WG_F32); /* the handle is the same */
    ck_assert(!wg_requires_grad(weight));
    /* As many rows meet the dequantised weights in the quantised product, too. */
    ck_assert_double_lt(distance(logits(m), adapted), 1e-5);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* ---- merging and removing -------------------------------------------------------------------- */

START_TEST(merged_weights_give_the_same_logits)
{
    for (int i = 0; i < 3; i++) {
        wg_scope s = begin();
        wg_module *m = i ? llama(i == 1 ? WG_NAMES_HF_LLAMA : WG_NAMES_META_LLAMA, i == 2) : gpt2();
        wg_module_freeze(m, true);
        const char *names = names_of(m);
        ck_assert_int_eq(wg_lora_add(m, .pattern = "*.lm_tail,*.*"), WG_ENOTFOUND);
        fails(WG_ENOTFOUND, "no linear's name matches \"*.lm_tail\"");
        ck_assert_str_eq(names, names_of(m));
        const char *pattern = i ? "*layers.*" : "*.h.*";
        ck_assert_int_eq(wg_lora_add(m, .rank = 4, .alpha = 8, .pattern = pattern), WG_OK);
        double loss[2];
        train(m, 10, loss);
        wg_tensor *adapted = logits(m);
        ck_assert_int_eq(wg_lora_merge(m), WG_OK);
        ck_assert_int_eq(wg_lora_count(m), 0);
        ck_assert_double_lt(distance(logits(m), adapted), 1e-5);
        ck_assert_str_eq(names, names_of(m));
        wg_module_free(m);
        pop(s);
    }
}
END_TEST

START_TEST(a_tied_weight_is_adapted_but_not_merged)
{
    wg_scope s = begin();
    wg_module *m = gpt2();
    ck_assert_int_eq(wg_lora_add(m, .pattern = "lm_head,*.c_attn"), WG_OK);
    fill(m);
    wg_tensor *before = logits(m);
    ck_assert_int_eq(wg_lora_merge(m), WG_EARG);
    fails(WG_EARG, "lora_merge: lm_head.weight is tied");
    ck_assert_int_eq(wg_lora_count(m), 3);
    ck_assert(same_bits(before, logits(m)));
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(removing_restores)
{
    wg_scope s = begin();
    wg_module *m = gpt2();
    wg_module_freeze(m, true);
    const char *names = names_of(m);
    wg_tensor *before = logits(m);
    const int64_t tensors = live();
    ck_assert_int_eq(wg_lora_add(m, .pattern = "*"), WG_OK);
    ck_assert_int_eq(wg_lora_count(m), 9);
    fill(m);
    wg_scope inner = wg_scope_push();
    ck_assert(!same_bits(before, logits(m)));
    pop(inner);
    wg_lora_remove(m);
    ck_assert_int_eq(live(), tensors);
    ck_assert(same_bits(before, logits(m)));
    ck_assert_str_eq(names, names_of(m));
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(what_cannot_be_added_changes_nothing)
{
    wg_scope s = begin();
    wg_module *m = gpt2();
    const char *names = names_of(m);
    (void)!wg_lora_add(NULL, .rank = 4);
    fails(WG_EARG, "lora_add: the module is NULL");
    (void)!wg_lora_add(m, .rank = -1);
    fails(WG_EARG, "rank -1");
    (void)!wg_lora_add(m, .dropout = 1);
    fails(WG_EARG, "dropout 1");
    (void)!wg_lora_add(m, .alpha = NAN);
    fails(WG_EARG, "alpha");
    (void)!wg_lora_add(m, .pattern = "*.c_attn,*.ln_1");
    fails(WG_ENOTFOUND, "no linear's name matches \"*.ln_1\"");
    (void)!wg_lora_add(m, .pattern = "");
    fails(WG_ENOTFOUND, "no linear");
    ck_assert_str_eq(names, names_of(m));
    ck_assert_int_eq(wg_lora_add(m), WG_OK);
    (void)!wg_lora_add(m, .pattern = "*.c_*");
    fails(WG_EARG, "transformer.h.0.attn.c_attn has an adapter already");
    ck_assert_int_eq(wg_lora_count(m), 2);
    wg_lora_remove(NULL);
    fails(WG_EARG, "");
    ck_assert_int_eq(wg_lora_merge(NULL), WG_EARG);
    fails(WG_EARG, "");
    wg_module_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("lora", (const TTest *[]) {
                              a_new_adapter_changes_no_bit,
                              only_the_adapters_learn,
                              with_train_base_everything_learns,
                              a_second_round_of_adapters_keeps_the_first_learning,
                              gradients_are_right_in_f64_and_merging_is_exact,
                              dropout_acts_only_while_training_and_only_on_the_adapter,
                              sixteen_bit_streams_stay_so,
                              a_large_head_with_an_adapter_is_used_in_chunks,
                              quantised_weights_stay_so_beside_adapters_and_merge_to_f32,
                              merged_weights_give_the_same_logits,
                              a_tied_weight_is_adapted_but_not_merged,
                              removing_restores,
                              what_cannot_be_added_changes_nothing,
                              NULL,
                          });
    folder_remove();
    return failed;
}
