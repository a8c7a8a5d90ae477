/* Low-rank adapters: what they compute, what learns, merging, removing, PEFT's folders. */
#include <stdint.h>

#include "folder.h"
#include "nn_check.h"

enum { V = 40, T = 12, N = 3 };

static wg_module *gpt2(void)
{
    wg_transformer_config c = wg_gpt2_config(2, 2, 16, V, T);
    wg_module *m = wg_transformer_new(&c);
    expect_no_error();
    return m;
}

static wg_module *llama(wg_name_table names, bool adjacent)
{
    wg_transformer_config c = wg_llama_config(2, 4, 2, 32, 24, V, T);
    c.names = names;
    c.rope_adjacent = adjacent;
    wg_module *m = wg_transformer_new(&c);
    expect_no_error();
    return m;
}

static wg_tensor *tokens(void)
{
    int64_t ids[N * T];
    for (int i = 0; i < N * T; i++) ids[i] = (i * 7 + i / 5 * 3) % V;
    return wg_from(ids, sizeof ids, WG_I64, WG_DIMS(N, T));
}

static wg_tensor *logits(wg_module *m)
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
static void train(wg_module *m, int steps, double loss[2])
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
static void fill(wg_module *m)
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

static wg_list copies(wg_module *m, const char *pattern)
{
    const wg_params p = wg_module_params(m);
    wg_list out = wg_list_new(p.n);
    for (int64_t i = 0; i < p.n; i++)
        if (wg_match(pattern, p.p[i].name)) out.t[i] = wg_affine(p.p[i].tensor, 1, 0);
    return out;
}

/* Names, in order, of all modules and parameters. */
static char *names_of(wg_module *m)
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

/* ---- files ----------------------------------------------------------------------------------- */

START_TEST(what_is_saved_loads_with_the_same_bits)
{
    for (int i = 0; i < 4; i++) {
        wg_scope s = begin();
        const wg_name_table names = i == 3 ? WG_NAMES_META_LLAMA : WG_NAMES_HF_LLAMA;
        wg_module *m = i ? llama(names, i >= 2) : gpt2();
        wg_tensor *plain = logits(m);
        static const char *const patterns[] = { "*.mlp.*,*.attn.c_attn,lm_head", "model.layers.1.*",
                                                "*layers.*", "*layers.*" };
        ck_assert_int_eq(wg_lora_add(m, .rank = 4, .alpha = 12, .dropout = 0.25, .rslora = i == 2,
                                     .pattern = patterns[i]),
                         WG_OK);
        fill(m);
        const int64_t n = wg_lora_count(m);
        wg_tensor *want = logits(m);
        ck_assert_int_eq(wg_lora_save(m, in_folder("adapter")), WG_OK);
        fill(m); /* into adapters that are there */
        ck_assert(!same_bits(want, logits(m)));
        ck_assert_int_eq(wg_lora_load(m, in_folder("adapter")), WG_OK);
        ck_assert(same_bits(want, logits(m)));
        wg_lora_remove(m);
        ck_assert(same_bits(plain, logits(m)));
        ck_assert_int_eq(wg_lora_load(m, in_folder("adapter")), WG_OK);
        ck_assert_int_eq(wg_lora_count(m), n);
        ck_assert(same_bits(want, logits(m)));
        wg_module_free(m);
        pop(s);
    }
}
END_TEST

static bool file_says(const char *path, const char *text)
{
    size_t n;
    char *all = get_file(path, &n);
    const bool found = strstr(all, text) != NULL;
    if (!found) printf("%s", all);
    free(all);
    return found;
}

START_TEST(names_in_the_file_are_those_of_peft)
{
    wg_scope s = begin();
    char config[1280];
    strcpy(config, format("%s/adapter_config.json", in_folder("adapter")));
    wg_module *m = llama(WG_NAMES_META_LLAMA, true);
    ck_assert_int_eq(wg_lora_add(m, .pattern = "*.wq,*.w2,layers.0.feed_forward.w3"), WG_OK);
    ck_assert_int_eq(wg_lora_save(m, in_folder("adapter")), WG_OK);
    wg_safetensors *f =
        wg_safetensors_open(format("%s/adapter_model.safetensors", in_folder("adapter")));
    ck_assert_int_eq(wg_safetensors_count(f), 10);
    wg_tensor *t =
        wg_safetensors_get(f, "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight");
    ck_assert(t && wg_size(t, 0) == 8 && wg_size(t, 1) == 32);
    t = wg_safetensors_get(f, "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight");
    ck_assert(t && wg_size(t, 0) == 32 && wg_size(t, 1) == 8);
    ck_assert(wg_safetensors_get(f, "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"));
    wg_safetensors_close(f);
    ck_assert(file_says(config, "\"target_modules\": [\n    \"q_proj\",\n"
                                "    \"model.layers.0.mlp.up_proj\",\n    \"down_proj\"\n  ]"));
    ck_assert(file_says(config, "\"peft_type\": \"LORA\""));
    ck_assert(file_says(config, "\"lora_alpha\": 8,"));
    ck_assert(file_says(config, "\"fan_in_fan_out\": false"));
    wg_module_free(m);
    m = gpt2();
    ck_assert_int_eq(wg_lora_add(m), WG_OK);
    ck_assert_int_eq(wg_lora_save(m, in_folder("adapter")), WG_OK);
    f = wg_safetensors_open(format("%s/adapter_model.safetensors", in_folder("adapter")));
    ck_assert(wg_safetensors_get(f, "base_model.model.transformer.h.1.attn.c_attn.lora_B.weight"));
    wg_safetensors_close(f);
    ck_assert(file_says(config, "\"fan_in_fan_out\": true"));
    wg_module_free(m);
    pop(s);
}
END_TEST

/* The rows of q and k as another convention of rope has them; heads of 8, so that the way there is not the
 * way back. */
static void copy_to_halves(wg_module *from, wg_module *to)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const wg_params a = wg_module_params(from), b = wg_module_params(to);
    ck_assert_int_eq(a.n, b.n);
    for (int64_t i = 0; i < a.n; i++) {
        wg_tensor *t = a.p[i].tensor;
        const int64_t heads = wg_match("*.wq.weight", a.p[i].name)   ? 4
                              : wg_match("*.wk.weight", a.p[i].name) ? 2
                                                                     : 0;
        const wg_dims shape = wg_shape(t);
        if (heads)
            t = wg_reshape(wg_transpose(wg_reshape(t, WG_DIMS(heads, 4, 2, 32)), 1, 2), shape);
        ck_assert_int_eq(wg_assign(b.p[i].tensor, t), WG_OK);
    }
    pop(s);
}

START_TEST(adapters_of_metas_layout_serve_hugging_faces)
{
    wg_scope s = begin();
    wg_module *meta = llama(WG_NAMES_META_LLAMA, true), *hf = llama(WG_NAMES_HF_LLAMA, false);
    copy_to_halves(meta, hf);
    ck_assert_double_lt(distance(logits(hf), logits(meta)), 1e-5);
    ck_assert_int_eq(wg_lora_add(meta, .rank = 3, .pattern = "layers.*,output"), WG_OK);
    fill(meta);
    wg_tensor *want = logits(meta), *plain = logits(hf);
    ck_assert_int_eq(wg_lora_save(meta, in_folder("adapter")), WG_OK);
    ck_assert_int_eq(wg_lora_load(hf, in_folder("adapter")), WG_OK);
    ck_assert_double_gt(distance(plain, want), 1e-2);
    ck_assert_double_lt(distance(logits(hf), want), 1e-5);
    wg_module_free(meta);
    wg_module_free(hf);
    pop(s);
}
END_TEST

/* A config that differs from a good one in one place. */
static void put_config(const char *folder, const char *change)
{
    put_text(format("%s/adapter_config.json", folder),
             format("{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, %s%s"
                    "\"bias\": \"none\"}",
                    change, *change ? ", " : ""));
}

START_TEST(contradictions_are_refused_and_change_nothing)
{
    static const struct {
        const char *change;
        wg_status code;
        const char *message;
    } bad[] = {
        { "\"use_dora\": true", WG_EFORMAT, "\"use_dora\" is not supported" },
        { "\"modules_to_save\": [\"lm_head\"]", WG_EFORMAT, "\"modules_to_save\"" },
        { "\"rank_pattern\": {\"q\": 2}", WG_EFORMAT, "\"rank_pattern\"" },
        { "\"init_lora_weights\": \"pissa\"", WG_EFORMAT, "changes the base weights" },
        { "\"target_modules\": [\"c_proj\"]", WG_EFORMAT, "is not among" },
        { "\"target_modules\": [\"c_attn\", \"c_proj\"]", WG_ENOTFOUND,
          "\"target_modules\" names" },
        { "\"lora_dropout\": \"x\"", WG_EFORMAT, "\"lora_dropout\" is no number" },
        { "\"lora_dropout\": 2", WG_EARG, "dropout 2" },
        { "\"use_dora\": false,", WG_EFORMAT, "no JSON" },
    };
    wg_scope s = begin();
    const char *folder = in_folder("adapter");
    wg_module *m = gpt2(), *other = llama(WG_NAMES_HF_LLAMA, false);
    ck_assert_int_eq(wg_lora_add(m, .rank = 4), WG_OK);
    fill(m);
    ck_assert_int_eq(wg_lora_save(m, folder), WG_OK);
    wg_lora_remove(m);
    const char *names = names_of(m);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_config(folder, bad[i].change);
        ck_assert_int_eq(wg_lora_load(m, folder), bad[i].code);
        fails(bad[i].code, bad[i].message);
    }
    put_text(format("%s/adapter_config.json", folder), "{\"peft_type\": \"LORA\", \"r\": 5}");
    (void)!wg_lora_load(m, folder);
    fails(WG_ESHAPE, "lora_A.weight\" is no matrix of (5, 16)");
    put_text(format("%s/adapter_config.json", folder), "{\"peft_type\": \"IA3\", \"r\": 5}");
    (void)!wg_lora_load(m, folder);
    fails(WG_EFORMAT, "\"peft_type\" is IA3");
    put_text(format("%s/adapter_config.json", folder), "[]");
    (void)!wg_lora_load(m, folder);
    fails(WG_EFORMAT, "no JSON object");
    (void)!wg_lora_load(m, in_folder("nowhere"));
    fails(WG_ENOTFOUND, "adapter_config.json");
    put_config(folder, "");
    (void)!wg_lora_load(other, folder);
    fails(WG_ENOTFOUND, "belongs to no linear of the model");
    ck_assert_str_eq(names, names_of(m));
    ck_assert_int_eq(wg_lora_add(m, .rank = 4, .alpha = 16), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_EARG, "rank 4 and alpha 8; the model's adapters have 4 and 16");
    wg_lora_remove(m);
    ck_assert_int_eq(wg_lora_add(m, .rank = 4, .pattern = "*.h.0.attn.c_attn"), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ENOTFOUND, "transformer.h.1.attn.c_attn has no adapter in the model");
    ck_assert_int_eq(wg_lora_add(m, .rank = 5, .pattern = "*.h.1.attn.c_attn"), WG_OK);
    (void)!wg_lora_save(m, folder);
    fails(WG_EARG, "a file has one");
    wg_lora_remove(m);
    (void)!wg_lora_save(m, folder);
    fails(WG_EARG, "the model has no adapters");
    ck_assert_int_eq(wg_lora_load(m, folder), WG_OK);
    ck_assert_int_eq(wg_lora_count(m), 2);
    wg_module_free(m);
    wg_module_free(other);
    pop(s);
}
END_TEST

START_TEST(missing_and_superfluous_tensors_are_named)
{
    wg_scope s = begin();
    const char *folder = in_folder("adapter"),
               *path = format("%s/adapter_model.safetensors", in_folder("adapter"));
    wg_module *m = gpt2();
#define AT "base_model.model.transformer.h.0.attn.c_attn"
    wg_param_ref p[3] = { { AT ".lora_A.weight", wg_ones(WG_DIMS(4, 16)), NULL },
                          { AT ".lora_B.weight", wg_ones(WG_DIMS(48, 4)), NULL },
                          { "base_model.model.transformer.wte.lora_A.weight", wg_ones(WG_DIMS(1)),
                            NULL } };
    put_config(folder, "");
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 1, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ENOTFOUND, "transformer.h.0.attn.c_attn has lora_A.weight and no lora_B.weight");
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 3, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ENOTFOUND, "transformer.wte.lora_A.weight\" belongs to no linear");
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 0, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ENOTFOUND, "there are no tensors in it");
    ck_assert_int_eq(wg_lora_count(m), 0);
    p[2].name = AT ".base_layer.weight"; /* as PEFT saves it of an lm_head */
    p[2].tensor = wg_affine(wg_module_tensor(m, "transformer.h.0.attn.c_attn.weight"), 1.1, 0);
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 3, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_EFORMAT, "is not the model's transformer.h.0.attn.c_attn.weight: another base");
    p[2].tensor = wg_transpose(p[2].tensor, 0, 1);
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 3, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ESHAPE, "has another shape than the model's");
    p[2].tensor = wg_cast(wg_module_tensor(m, "transformer.h.0.attn.c_attn.weight"), WG_BF16);
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 3, p }, NULL, 0), WG_OK);
    ck_assert_int_eq(wg_lora_load(m, folder), WG_OK);
    wg_lora_remove(m);
    p[0].tensor = wg_cast(p[0].tensor, WG_BF16); /* as 16-bit training saves them */
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 2, p }, NULL, 0), WG_OK);
    ck_assert_int_eq(wg_lora_load(m, folder), WG_OK);
    ck_assert_int_eq(wg_lora_count(m), 1);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(damaged_folders_neither_crash_nor_leak)
{
    wg_scope s = begin();
    const char *folder = in_folder("adapter");
    wg_module *m = gpt2();
    ck_assert_int_eq(wg_lora_add(m, .rank = 2), WG_OK);
    ck_assert_int_eq(wg_lora_save(m, folder), WG_OK);
    wg_lora_remove(m);
    const int64_t tensors = live();
    uint64_t random = 7;
    for (int file = 0; file < 2; file++) {
        char path[1280];
        strcpy(path,
               format("%s/%s", folder, file ? "adapter_config.json" : "adapter_model.safetensors"));
        size_t n;
        char *good = get_file(path, &n), *bad = malloc(n);
        const size_t header = n < 600 ? n : 600;
        for (size_t i = 0; i < 2 * header; i++) {
            memcpy(bad, good, n);
            random = random * 6364136223846793005u + 1442695040888963407u;
            if (i % 2) bad[i / 2] = (char)(bad[i / 2] ^ (char)(1 << (random >> 40) % 8));
            put_file(path, bad, i % 2 ? n : i / 2);
            if (wg_lora_load(m, folder) != WG_OK) {
                ck_assert_int_eq(wg_lora_count(m), (wg_error_clear(), 0));
            }
            wg_lora_remove(m);
            ck_assert_int_eq(live(), tensors);
        }
        put_file(path, good, n);
        free(good);
        free(bad);
    }
    ck_assert_int_eq(wg_lora_load(m, folder), WG_OK);
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
                              what_is_saved_loads_with_the_same_bits,
                              names_in_the_file_are_those_of_peft,
                              adapters_of_metas_layout_serve_hugging_faces,
                              contradictions_are_refused_and_change_nothing,
                              missing_and_superfluous_tensors_are_named,
                              damaged_folders_neither_crash_nor_leak,
                              NULL,
                          });
    folder_remove();
    return failed;
}
