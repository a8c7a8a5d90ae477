/* Layers and transformers. */
#include "transformer_check.h"

/* ---- layers ---------------------------------------------------------------------------------- */

START_TEST(linear_is_pytorchs)
{
    wg_scope s = begin();
    wg_seed(3);
    wg_module *m = wg_linear_new(16, 64),
              *t = wg_linear_new(16, 64, .in_out = true, .no_bias = true);
    wg_tensor *w = wg_module_tensor(m, "weight"), *b = wg_module_tensor(m, "bias");
    wg_dims shape = wg_shape(w);
    ck_assert(shape.n == 2 && shape.d[0] == 64 && shape.d[1] == 16 && wg_numel(b) == 64);
    /* U(-1/4, 1/4): inside, filling it, variance (1/2)^2 / 12 within 5 sigma of 1024 draws */
    double most = wg_item(wg_max(wg_abs(w), WG_ALL, false));
    ck_assert(most <= 0.25 && most > 0.245);
    double variance = wg_item(wg_mean(wg_square(w), WG_ALL, false));
    ck_assert(fabs(variance * 48 - 1) < 5 * sqrt(0.8 / 1024));
    ck_assert(wg_item(wg_max(wg_abs(b), WG_ALL, false)) <= 0.25);
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 16));
    ck_assert(same_bits(wg_forward(m, x), wg_linear(x, w, b)));
    wg_tensor *v = wg_module_tensor(t, "weight");
    ck_assert(wg_size(v, 0) == 16 && wg_size(v, 1) == 64);
    ck_assert(distance(wg_forward(t, x), wg_matmul(x, v)) < 1e-6);
    ck_assert_ptr_null(wg_linear_new(16, 0));
    fails(WG_EARG, "linear: out = 0 should be positive");
    ck_assert_ptr_null(wg_linear_new((int64_t)1 << 40, 1));
    fails(WG_EARG, "at most 2^30");
    wg_module_free(m);
    wg_module_free(t);
    pop(s);
}
END_TEST

START_TEST(layers_call_their_ops)
{
    wg_scope s = begin();
    wg_module *e = wg_embedding_new(10, 4), *ln = wg_layer_norm_new(4),
              *rms = wg_rms_norm_new(4, 1e-3);
    wg_module *plain = wg_layer_norm_new(4, .no_affine = true),
              *no_bias = wg_layer_norm_new(4, .no_bias = true);
    wg_module *gn = wg_group_norm_new(2, 4, 0),
              *conv = wg_conv1d_new(4, 6, 3, .causal = true, .groups = 2);
    expect_no_error();
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4)), *c = wg_randn(WG_DIMS(2, 4, 7));
    wg_tensor *rows = wg_forward(e, wg_arange(2, 5));
    ck_assert(same_bits(wg_select(rows, 0, 1), wg_select(wg_module_tensor(e, "weight"), 0, 3)));
    wg_tensor *y = wg_layer_norm(x, wg_ones(WG_DIMS(4)), wg_zeros(WG_DIMS(4)));
    ck_assert(distance(wg_forward(ln, x), y) < 1e-6);
    ck_assert(distance(wg_forward(plain, x), y) < 1e-6);
    ck_assert(distance(wg_forward(no_bias, x), y) < 1e-6);
    ck_assert(wg_module_params(plain).n == 0 && wg_module_params(no_bias).n == 1);
    ck_assert(same_bits(wg_forward(rms, x), wg_rms_norm(x, wg_ones(WG_DIMS(4)), .eps = 1e-3)));
    ck_assert(distance(wg_forward(gn, c), wg_group_norm(c, 2)) < 1e-6);
    wg_dims shape = wg_shape(wg_forward(conv, c));
    ck_assert(shape.n == 3 && shape.d[0] == 2 && shape.d[1] == 6 && shape.d[2] == 7);
    ck_assert_ptr_null(wg_conv1d_new(4, 6, 3, .groups = 4));
    fails(WG_EARG, "groups = 4 does not divide out = 6");
    ck_assert_ptr_null(wg_group_norm_new(3, 4, 0));
    fails(WG_EARG, "groups = 3 does not divide channels = 4");
    ck_assert_ptr_null(wg_rms_norm_new(4, -1));
    fails(WG_EARG, "eps");
    ck_assert_ptr_null(wg_dropout_new(1.5));
    fails(WG_EARG, "1.5");
    wg_module *const all[] = { e, ln, rms, plain, no_bias, gn, conv };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) wg_module_free(all[i]);
    pop(s);
}
END_TEST

START_TEST(dropout_is_off_in_evaluation)
{
    wg_scope s = begin();
    wg_module *m = wg_dropout_new(0.5);
    wg_tensor *x = wg_ones(WG_DIMS(1000));
    double kept = wg_item(wg_sum(wg_forward(m, x), WG_ALL, false)) / 2;
    ck_assert(kept > 400 && kept < 600);
    wg_module_train(m, false);
    ck_assert(same_bits(wg_forward(m, x), x));
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(lists_and_sequentials)
{
    wg_scope s = begin();
    wg_module *m = wg_sequential_new(), *list = wg_module_list_new();
    for (int i = 0; i < 20; i++) wg_sequential_add(m, wg_linear_new(3, 3));
    wg_sequential_add(m, wg_linear_new(-1, 3));
    fails(WG_EARG, "in = -1");
    ck_assert_int_eq(wg_module_list_size(m), 20);
    ck_assert_ptr_eq(wg_module_list_at(m, -1), wg_module_at(m, "19"));
    wg_tensor *x = wg_randn(WG_DIMS(2, 3)), *y = x;
    for (int i = 0; i < 20; i++) y = wg_forward(wg_module_list_at(m, i), y);
    ck_assert(same_bits(wg_forward(m, x), y));
    ck_assert_ptr_null(wg_module_list_at(m, 20));
    fails(WG_EINDEX, "20 is out of range for 20 modules");
    wg_module_list_at(wg_module_list_at(m, 0), 0);
    fails(WG_EARG, "no list");
    wg_module_list_add(list, m);
    wg_forward(list, x);
    fails(WG_EARG, "typed forward");
    wg_module_free(list);
    list = wg_sequential_new();
    ck_assert(same_bits(wg_forward(list, x), x));
    wg_module_free(list);
    pop(s);
}
END_TEST

START_TEST(a_chain_without_a_tape_keeps_two_results)
{
    wg_scope s = begin();
    wg_use_grad(false);
    wg_module *m = wg_sequential_new();
    for (int i = 0; i < 16; i++) wg_sequential_add(m, wg_linear_new(8, 8, .no_bias = true));
    wg_tensor *x = wg_randn(WG_DIMS(1000, 8));
    wg_forward(m, x);
    wg_memory_reset_peak(wg_cpu());
    int64_t before = wg_memory_stats(wg_cpu()).current;
    wg_forward(m, x);
    int64_t rose = wg_memory_stats(wg_cpu()).peak - before;
    ck_assert_msg(rose < 3 * 1000 * 8 * 4, "%lld bytes", (long long)rose);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* ---- transformers ---------------------------------------------------------------------------- */

static void expect_parameters(wg_transformer_config c, const char *const *names, int n)
{
    wg_scope s = begin();
    wg_module *m = wg_transformer_new(&c);
    expect_no_error();
    wg_params ps = wg_module_params(m);
    ck_assert_int_eq(ps.n, n);
    for (int i = 0; i < n; i++) ck_assert_str_eq(ps.p[i].name, names[i]);
    ck_assert_int_eq(wg_ndim(wg_forward(m, some_tokens(2, 5))), 3);
    wg_module_free(m);
    pop(s);
}

START_TEST(published_names)
{
    wg_transformer_config c = small_gpt2();
    c.layers = 1;
    const char *const gpt2[] = {
        "transformer.wte.weight",
        "transformer.wpe.weight",
        "transformer.h.0.ln_1.weight",
        "transformer.h.0.ln_1.bias",
        "transformer.h.0.attn.c_attn.weight",
        "transformer.h.0.attn.c_attn.bias",
        "transformer.h.0.attn.c_proj.weight",
        "transformer.h.0.attn.c_proj.bias",
        "transformer.h.0.ln_2.weight",
        "transformer.h.0.ln_2.bias",
        "transformer.h.0.mlp.c_fc.weight",
        "transformer.h.0.mlp.c_fc.bias",
        "transformer.h.0.mlp.c_proj.weight",
        "transformer.h.0.mlp.c_proj.bias",
        "transformer.ln_f.weight",
        "transformer.ln_f.bias",
    };
    expect_parameters(c, gpt2, 16);
    c = small_llama();
    c.layers = 1;
    const char *const hf[] = {
        "model.embed_tokens.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
        "model.layers.0.self_attn.v_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.post_attention_layernorm.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.norm.weight",
        "lm_head.weight",
    };
    expect_parameters(c, hf, 12);
    c.names = WG_NAMES_META_LLAMA;
    const char *const meta[] = {
        "tok_embeddings.weight",
        "layers.0.attention_norm.weight",
        "layers.0.attention.wq.weight",
        "layers.0.attention.wk.weight",
        "layers.0.attention.wv.weight",
        "layers.0.attention.wo.weight",
        "layers.0.ffn_norm.weight",
        "layers.0.feed_forward.w1.weight",
        "layers.0.feed_forward.w3.weight",
        "layers.0.feed_forward.w2.weight",
        "norm.weight",
        "output.weight",
    };
    expect_parameters(c, meta, 12);
    c.names = WG_NAMES_HF_LLAMA; /* Qwen2 */
    c.qkv_bias = true;
    wg_scope s = begin();
    wg_module *m = wg_transformer_new(&c);
    ck_assert_ptr_nonnull(wg_module_tensor(m, "model.layers.0.self_attn.k_proj.bias"));
    ck_assert_ptr_null(wg_module_tensor(m, "model.layers.0.self_attn.o_proj.bias"));
    wg_error_clear();
    wg_module_free(m);
    pop(s);
}
END_TEST

static double spread(wg_module *m, const char *path)
{
    wg_tensor *t = wg_module_tensor(m, path);
    return sqrt(wg_item(wg_mean(wg_square(t), WG_ALL, false)));
}

START_TEST(initialisation_is_gpt2s)
{
    wg_scope s = begin();
    wg_seed(5);
    wg_transformer_config c = wg_gpt2_config(8, 4, 64, 200, 64);
    wg_module *m = wg_transformer_new(&c);
    /* of n draws the deviation is known to 1/sqrt(2n): 4096 or more of them, 5 sigma */
    ck_assert(fabs(spread(m, "transformer.wte.weight") / 0.02 - 1) < 0.06);
    ck_assert(fabs(spread(m, "transformer.h.3.attn.c_attn.weight") / 0.02 - 1) < 0.06);
    ck_assert(fabs(spread(m, "transformer.h.3.attn.c_proj.weight") / 0.005 - 1) < 0.06);
    ck_assert(fabs(spread(m, "transformer.h.3.mlp.c_fc.weight") / 0.02 - 1) < 0.06);
    ck_assert(fabs(spread(m, "transformer.h.3.mlp.c_proj.weight") / 0.005 - 1) < 0.06);
    ck_assert(spread(m, "transformer.h.3.mlp.c_fc.bias") == 0);
    ck_assert(spread(m, "transformer.h.3.ln_1.weight") == 1);
    ck_assert_ptr_eq(wg_module_tensor(m, "lm_head.weight"),
                     wg_module_tensor(m, "transformer.wte.weight"));
    ck_assert_int_eq(wg_device_of(wg_module_tensor(m, "lm_head.weight")).kind, WG_CPU);
    wg_module_free(m);
    c = wg_llama_config(8, 4, 4, 64, 192, 200, 64);
    m = wg_transformer_new(&c);
    ck_assert(fabs(spread(m, "model.layers.2.mlp.gate_proj.weight") / 0.02 - 1) < 0.06);
    ck_assert(fabs(spread(m, "model.layers.2.mlp.down_proj.weight") / 0.005 - 1) < 0.06);
    ck_assert(fabs(spread(m, "model.layers.2.self_attn.o_proj.weight") / 0.005 - 1) < 0.06);
    ck_assert_ptr_ne(wg_module_tensor(m, "lm_head.weight"),
                     wg_module_tensor(m, "model.embed_tokens.weight"));
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(bad_configurations_say_why)
{
    const struct {
        int64_t heads, kv_heads, width, block, layers;
        double dropout;
        const char *part;
    } rows[] = {
        { 3, 0, 16, 24, 2, 0, "heads = 3 does not divide width = 16" },
        { 4, 3, 16, 24, 2, 0, "kv_heads = 3 does not divide heads = 4" },
        { 0, 0, 16, 24, 2, 0, "heads = 0 should be positive" },
        { 4, 0, 0, 24, 2, 0, "width = 0 should be positive" },
        { 4, 0, 16, 0, 2, 0, "block = 0 should be positive" },
        { 4, 0, 16, 24, -2, 0, "layers = -2 should be positive" },
        { 4, 0, 16, 24, 2, 1.5, "dropout is out of range" },
        { 16, 0, 16, 24, 2, 0, "head_size = 1 is odd" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_transformer_config c = small_llama();
        c.heads = rows[i].heads;
        c.kv_heads = rows[i].kv_heads;
        c.width = rows[i].width;
        c.block = rows[i].block;
        c.layers = rows[i].layers;
        c.dropout = rows[i].dropout;
        int64_t before = live();
        ck_assert_ptr_null(wg_transformer_new(&c));
        fails(WG_EARG, rows[i].part);
        ck_assert_int_eq(live(), before);
    }
    wg_transformer_config c = small_gpt2();
    c.names = 17;
    ck_assert_ptr_null(wg_block_new(&c));
    fails(WG_EARG, "names is out of range");
    ck_assert_ptr_null(wg_attention_new(NULL));
    fails(WG_EARG, "configuration is NULL");
}
END_TEST

START_TEST(positions_beyond_the_block_are_an_error)
{
    wg_scope s = begin();
    wg_transformer_config c = small_gpt2();
    wg_module *m = wg_transformer_new(&c);
    wg_forward(m, some_tokens(1, 25));
    fails(WG_EARG, "transformer: position 25 is beyond the block of 24");
    wg_forward(m, wg_arange(0, 4));
    fails(WG_ESHAPE, "tokens should be (B, T)");
    wg_forward(m, some_tokens(1, 24));
    expect_no_error();
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(nothing_looks_ahead)
{
    wg_scope s = begin();
    wg_transformer_config c = small_llama();
    wg_module *m = wg_transformer_new(&c);
    wg_tensor *a = some_tokens(1, 12);
    wg_tensor *b = wg_cat(WG_LIST(wg_narrow(a, 1, 0, 7), some_tokens(1, 5)), 1);
    wg_tensor *x = wg_narrow(wg_forward(m, a), 1, 0, 7), *y = wg_narrow(wg_forward(m, b), 1, 0, 7);
    ck_assert(distance(x, y) < 1e-6);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* ---- recomputation and losses ---------------------------------------------------------------- */

/* Gradients of a step over packed sequences: positions restart, the mask is block-diagonal. *held:
 * the bytes that forward kept. */
static wg_list packed_gradients(wg_module *m, wg_tensor *tokens, bool packed, bool recompute,
                                int64_t *held)
{
    const int64_t half[] = { 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5 };
    wg_tensor *positions = wg_from(half, sizeof half, WG_I64, WG_DIMS(12));
    wg_tensor *i = wg_unsqueeze(wg_arange(0, 12), 1), *j = wg_arange(0, 12);
    wg_tensor *same = wg_eq(wg_ge(i, wg_scalar(6)), wg_ge(j, wg_scalar(6)));
    wg_tensor *mask = wg_logical_and(same, wg_ge(i, j)); /* (12, 12) */
    for (int64_t l = 0; l < 2; l++) {
        char path[32];
        snprintf(path, sizeof path, "model.layers.%d", (int)l);
        wg_module_recompute(wg_module_at(m, path), recompute);
    }
    wg_seed(11);
    const wg_step step = { .positions = positions, .mask = mask };
    *held = -wg_memory_stats(wg_cpu()).current;
    wg_tensor *y = wg_transformer_step(m, tokens, packed ? &step : NULL);
    *held += wg_memory_stats(wg_cpu()).current;
    wg_backward(wg_sum(wg_square(y), WG_ALL, false));
    expect_no_error();
    return gradients(m);
}

START_TEST(recomputed_blocks_give_the_same_bits)
{
    wg_scope s = begin();
    wg_transformer_config c = small_llama();
    c.dropout = 0.2;
    wg_module *m = wg_transformer_new(&c);
    wg_tensor *tokens = some_tokens(2, 12);
    wg_params ps = wg_module_params(m);
    for (int packed = 0; packed < 2; packed++) {
        int64_t all, few;
        wg_list plain = packed_gradients(m, tokens, packed, false, &all);
        wg_list again = packed_gradients(m, tokens, packed, true, &few);
        ck_assert_msg(few < all / 2, "%lld bytes kept of %lld", (long long)few, (long long)all);
        for (int64_t i = 0; i < ps.n; i++)
            ck_assert_msg(same_bits(plain.t[i], again.t[i]), "%s, packed %d", ps.p[i].name, packed);
    }
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(packed_sequences_do_not_see_each_other)
{
    wg_scope s = begin();
    wg_use_grad(false);
    wg_transformer_config c = small_llama();
    wg_module *m = wg_transformer_new(&c);
    wg_tensor *tokens = some_tokens(1, 12), *second = wg_narrow(tokens, 1, 6, 6);
    const int64_t half[] = { 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5 };
    wg_tensor *i = wg_unsqueeze(wg_arange(0, 12), 1), *j = wg_arange(0, 12);
    wg_tensor *same = wg_eq(wg_ge(i, wg_scalar(6)), wg_ge(j, wg_scalar(6)));
    const wg_step step = { .positions = wg_from(half, sizeof half, WG_I64, WG_DIMS(1, 12)),
                           .mask = wg_logical_and(same, wg_ge(i, j)) };
    wg_tensor *y = wg_transformer_step(m, tokens, &step);
    ck_assert(distance(wg_narrow(y, 1, 6, 6), wg_forward(m, second)) < 1e-5);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(the_loss_is_the_cross_entropy_of_the_logits)
{
    wg_scope s = begin();
    wg_transformer_config c = wg_gpt2_config(1, 2, 8, 9000, 64);
    wg_module *m = wg_transformer_new(&c);
    /* 32 x 64 x 9000 logits of 4 bytes: over the limit of 64 MiB; 4 of the 32 rows: under it */
    wg_tensor *x = wg_randint(0, 9000, WG_DIMS(32, 64)), *y = wg_randint(-1, 9000, WG_DIMS(32, 64));
    y = wg_where(wg_lt(y, wg_scalar(300)), wg_full_like(y, -1), y);
    wg_tensor *want = wg_cross_entropy(wg_forward(m, x), y, .ignore_index = WG_JUST(-1));
    wg_tensor *got = wg_transformer_loss(m, x, y);
    ck_assert(distance(got, want) < 1e-5);
    wg_backward(want);
    wg_list a = gradients(m);
    wg_backward(got);
    wg_list b = gradients(m);
    expect_no_error();
    for (int64_t i = 0; i < a.n; i++) ck_assert(distance(b.t[i], a.t[i]) < 1e-4);
    x = wg_narrow(x, 0, 0, 4);
    y = wg_narrow(y, 0, 0, 4);
    want = wg_cross_entropy(wg_forward(m, x), y, .ignore_index = WG_JUST(-1));
    ck_assert(same_bits(wg_transformer_loss(m, x, y), want));
    ck_assert(distance(wg_forward(wg_module_at(m, "lm_head"), wg_transformer_hidden(m, x, NULL)),
                       wg_forward(m, x)) == 0);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(gradcheck_of_blocks)
{
    wg_scope s = begin();
    wg_use_dtype(WG_F64);
    wg_transformer_config c = wg_gpt2_config(1, 2, 4, 7, 8);
    wg_module *m = wg_block_new(&c);
    ck_assert_int_eq(wg_module_gradcheck(m, wg_randn(WG_DIMS(2, 3, 4)), stderr), WG_OK);
    expect_no_error();
    wg_module_free(m);
    c = wg_llama_config(1, 2, 1, 4, 6, 7, 8);
    m = wg_block_new(&c);
    wg_module_recompute(m, true);
    ck_assert_int_eq(wg_module_gradcheck(m, wg_randn(WG_DIMS(2, 3, 4)), stderr), WG_OK);
    expect_no_error();
    wg_module_free(m);
    m = wg_transformer_new(&c);
    ck_assert_int_eq(wg_module_gradcheck(m, wg_randint(0, 7, WG_DIMS(2, 3)), stderr), WG_OK);
    expect_no_error();
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_large_model_is_counted_on_meta)
{
    wg_scope s = begin();
    wg_use_device(wg_meta());
    wg_transformer_config c = wg_llama_config(32, 32, 32, 4096, 11008, 32000, 2048);
    int64_t before = live();
    wg_module *m = wg_transformer_new(&c);
    expect_no_error();
    ck_assert_int_eq(live(), before);
    wg_params ps = wg_module_params(m);
    int64_t n = 0;
    for (int64_t i = 0; i < ps.n; i++) n += wg_numel(ps.p[i].tensor);
    ck_assert_int_eq(n, 6738415616); /* Llama 2 7B */
    double flops = wg_flops();
    wg_tensor *loss = wg_sum(wg_forward(m, wg_empty(WG_DIMS(1, 128), WG_I64)), WG_ALL, false);
    flops = wg_flops() - flops;
    expect_no_error();
    /* two a weight and token without the embedding's, and attention's share on top */
    const double least = 2.0 * 128 * (double)(n - 32000 * 4096);
    ck_assert_msg(flops > least && flops < 1.05 * least, "%g FLOPs, at least %g", flops, least);
    wg_backward(loss);
    expect_no_error();
    wg_module_free(m);
    pop(s);
}
END_TEST

/* Llama 3.2's own numbers: the fast half of the pairs stays, the slow ones are stretched by 32. */
START_TEST(rope_scaling_is_llama3s)
{
    wg_scope s = begin();
    wg_transformer_config c = wg_llama_config(1, 2, 1, 128, 64, 19, 16);
    c.rope_base = 500000;
    ck_assert_ptr_null(wg_rope_factors(&c));
    c.head_size = 64;
    c.rope_scaling = (wg_rope_scaling) { WG_ROPE_LLAMA3, 32, 1, 4, 8192 };
    const float *f = wg_data(wg_rope_factors(&c));
    for (int k = 0; k <= 14; k++) ck_assert_double_eq(f[k], 1);
    const double between[] = { 1.651329, 3.292262, 9.666729 };
    for (int k = 15; k <= 17; k++) ck_assert_double_eq_tol(f[k], between[k - 15], 1e-5);
    for (int k = 18; k < 32; k++) ck_assert_double_eq(f[k], 32);

    wg_module *plain = wg_transformer_new(&c);
    wg_tensor *tokens = some_tokens(1, 16), *stretched = wg_forward(plain, tokens);
    wg_transformer_set_rope_factors(plain, NULL);
    ck_assert_double_gt(
        wg_item(wg_max(wg_abs(wg_sub(wg_forward(plain, tokens), stretched)), WG_ALL, false)), 1e-6);
    wg_transformer_set_rope_factors(plain, wg_rope_factors(&c));
    ck_assert(
        wg_item(wg_max(wg_abs(wg_sub(wg_forward(plain, tokens), stretched)), WG_ALL, false)) == 0);
    wg_transformer_set_rope_factors(plain, wg_ones(WG_DIMS(31)));
    fails(WG_ESHAPE, "transformer_set_rope_factors: factors should be (32)");
    wg_module_free(plain);
    c.rope_scaling.factor = 0;
    ck_assert_ptr_null(wg_transformer_new(&c));
    fails(WG_EARG, "rope_scaling is out of range");
    pop(s);
}
END_TEST

START_TEST(errors_inside_a_model_name_the_place)
{
    wg_scope s = begin();
    wg_transformer_config c = small_gpt2();
    wg_module *m = wg_transformer_new(&c);
    wg_module_free(wg_module_swap(m, "transformer.h.1.attn.c_attn", wg_linear_new(17, 48)));
    wg_forward(m, some_tokens(1, 4));
    fails(WG_ESHAPE, "in transformer.h.1.attn.c_attn");
    wg_module_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        linear_is_pytorchs,
        layers_call_their_ops,
        dropout_is_off_in_evaluation,
        lists_and_sequentials,
        a_chain_without_a_tape_keeps_two_results,
        published_names,
        initialisation_is_gpt2s,
        bad_configurations_say_why,
        positions_beyond_the_block_are_an_error,
        nothing_looks_ahead,
        recomputed_blocks_give_the_same_bits,
        packed_sequences_do_not_see_each_other,
        the_loss_is_the_cross_entropy_of_the_logits,
        gradcheck_of_blocks,
        a_large_model_is_counted_on_meta,
        rope_scaling_is_llama3s,
        errors_inside_a_model_name_the_place,
        NULL,
    };
    return suite_run("nn", tests);
}
