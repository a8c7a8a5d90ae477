/* Modules whose weights are mapped or in blocks: put, frozen, cast, loaded, saved. */
#include <math.h>

#include "folder.h"
#include "suite.h"
#include "tensor/internal.h"

static wg_module *pair(void) /* 64 -> 96 -> 32 */
{
    wg_module *m = wg_sequential_new();
    wg_sequential_add(m, wg_linear_new(64, 96));
    wg_sequential_add(m, wg_linear_new(96, 32, .no_bias = true));
    return m;
}

static wg_tensor *at(wg_module *m, const char *path)
{
    wg_tensor *t = wg_module_tensor(m, path);
    expect_no_error();
    return t;
}

static bool same(wg_tensor *a, wg_tensor *b)
{
    return wgi_same_shape(a, b) && a->dtype == b->dtype &&
           memcmp(wg_data(a), wg_data(b), wgi_bytes_of(a->dtype, a->numel)) == 0;
}

/* A tensor in memory that nobody may write, as a mapped file's. */
static wg_tensor *mapped(wg_tensor *x)
{
    wgi_storage *s = wgi_storage_wrap(wgi_data(x), x->storage->bytes, true, NULL, NULL);
    wg_dims shape = wgi_shape(x);
    wg_tensor *t =
        wgi_own(wgi_ctx(), wgi_tensor_on(wgi_ctx(), s, x->dtype, shape, wgi_row_major(&shape), 0));
    wgi_storage_unref(s);
    return t;
}

START_TEST(a_put_value_is_shared_under_the_same_handle)
{
    wg_scope s = wg_scope_push();
    wg_module *m = pair();
    wg_tensor *w = at(m, "0.weight"), *value = wg_randn(WG_DIMS(96, 64));
    wg_set_grad(w, wg_ones(WG_DIMS(96, 64)));
    wg_module_put(m, "0.weight", value);
    expect_no_error();
    ck_assert_ptr_eq(wg_module_tensor(m, "0.weight"), w);
    ck_assert_ptr_eq(wg_data(w), wg_data(value));
    ck_assert(wg_requires_grad(w));
    ck_assert_ptr_null(wg_grad_of(w));
    wg_module_put(m, "0.weight", wg_transpose(wg_randn(WG_DIMS(64, 96)), 0, 1)); /* is copied */
    ck_assert(wg_is_contiguous(w));
    wg_module_put(m, "0.weight", wg_cast(value, WG_BF16));
    ck_assert_int_eq(wg_dtype_of(w), WG_BF16);
    expect_no_error();
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(mapped_and_quantised_parameters_are_frozen)
{
    wg_scope s = wg_scope_push();
    wg_module *m = pair();
    wg_tensor *w = at(m, "0.weight"), *v = at(m, "1.weight");
    wg_tensor *value = wg_randn(WG_DIMS(96, 64)), *map = mapped(value);
    wg_tensor *q = wg_cast(wg_randn(WG_DIMS(32, 96)), WG_Q8_0);
    wg_module_put(m, "0.weight", map);
    wg_module_put(m, "1.weight", q);
    expect_no_error();
    ck_assert_ptr_eq(wg_data(w), wg_data(value));
    ck_assert_ptr_eq(wg_data(v), wg_data(q));
    ck_assert(!wg_requires_grad(w) && !wg_requires_grad(v));
    wg_module_train(m, true);
    wg_module_freeze(m, false);
    expect_no_error();
    ck_assert(wg_requires_grad(w) && !wg_requires_grad(v));
    ck_assert_ptr_ne(wg_data(w), wg_data(value)); /* its own now */
    ck_assert_ptr_nonnull(wg_data_write(w));
    ck_assert(same(w, value));
    wg_module_freeze(m, true);
    ck_assert(!wg_requires_grad(w));
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(put_says_what_does_not_fit_and_changes_nothing)
{
    wg_scope s = wg_scope_push();
    wg_module *m = pair();
    wg_tensor *w = at(m, "0.weight"), *kept = wg_detach(w);
    wg_module_put(m, "0.weight", wg_randn(WG_DIMS(64, 96)));
    expect_error(WG_ESHAPE, "module_put: 0.weight is (96, 64) f32 cpu, the value (64, 96) f32 cpu");
    wg_module_put(m, "0.weight", wg_cast(wg_randn(WG_DIMS(96, 64)), WG_I64));
    expect_error(WG_EDTYPE, "module_put: 0.weight is a parameter, the value is (96, 64) i64 cpu");
    wg_module_put(m, "2.weight", wg_randn(WG_DIMS(96, 64)));
    expect_error(WG_ENOTFOUND, "module_put: nothing at \"2.weight\"");
    wg_module_put(m, "0.weight", NULL);
    expect_error(WG_EARG, "module_put: the value for 0.weight is NULL");
    wg_module_put(NULL, "0.weight", kept);
    expect_error(WG_EARG, "module_put: ");
    wg_tensor *y = wg_forward(m, wg_require_grad(wg_randn(WG_DIMS(2, 64))));
    wg_module_put(m, "0.weight", wg_randn(WG_DIMS(96, 64)));
    expect_error(WG_EGRAD, "0.weight is held by a graph");
    ck_assert_ptr_eq(wg_data(w), wg_data(kept));
    ck_assert(wg_backward(wg_sum(y, WG_ALL, false)) == WG_OK);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_tied_parameter_is_put_under_any_name)
{
    wg_scope s = wg_scope_push();
    wg_transformer_config c = wg_llama_config(1, 2, 2, 64, 96, 96, 16);
    c.untied = false;
    wg_module *m = wg_transformer_new(&c);
    expect_no_error();
    wg_tensor *embed = at(m, "model.embed_tokens.weight");
    wg_module_put(m, "lm_head.weight", wg_cast(wg_randn(WG_DIMS(96, 64)), WG_Q4_0));
    expect_no_error();
    ck_assert_int_eq(wg_dtype_of(embed), WG_Q4_0);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_cast_gives_ordinary_memory_that_stays_frozen)
{
    wg_scope s = wg_scope_push();
    wg_module *m = pair();
    wg_tensor *w = at(m, "0.weight"), *v = at(m, "1.weight");
    wg_tensor *value = wg_randn(WG_DIMS(96, 64)), *q = wg_cast(wg_randn(WG_DIMS(32, 96)), WG_Q5_1);
    wg_module_put(m, "0.weight", mapped(value));
    wg_module_put(m, "1.weight", q);
    wg_module_to(m, wg_cpu());
    ck_assert_ptr_eq(wg_data(w), wg_data(value));
    wg_module_cast(m, WG_F32);
    expect_no_error();
    ck_assert(same(w, value) && wg_data(w) != wg_data(value));
    ck_assert(same(v, wg_cast(q, WG_F32)));
    ck_assert(!wg_requires_grad(w) && !wg_requires_grad(v));
    ck_assert(wg_requires_grad(at(m, "0.bias")));
    ck_assert_ptr_nonnull(wg_data_write(w));
    wg_module_freeze(m, false);
    ck_assert(wg_requires_grad(w) && wg_requires_grad(v));
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(loads_replace_mappings_and_refuse_blocks)
{
    const char *path = in_folder("pair.safetensors");
    wg_scope s = wg_scope_push();
    wg_module *a = pair(), *b = pair();
    ck_assert(wg_module_save(a, path) == WG_OK);
    wg_tensor *value = wg_zeros(WG_DIMS(96, 64));
    wg_module_put(b, "0.weight", mapped(value));
    ck_assert(wg_module_load(b, path, true) == WG_OK);
    ck_assert(same(at(a, "0.weight"), at(b, "0.weight")));
    ck_assert(!wg_requires_grad(at(b, "0.weight")));
    ck_assert_double_eq(wg_item(wg_sum(value, WG_ALL, false)), 0);
    wg_module_put(b, "1.weight", wg_cast(at(a, "1.weight"), WG_Q8_0));
    ck_assert(wg_module_load(b, path, true) != WG_OK);
    expect_error(WG_EDTYPE, "module_load: 1.weight is q8_0, in ");
    ck_assert(wg_module_save(b, path) != WG_OK);
    ck_assert_ptr_nonnull(strstr(wg_error_get()->message, "safetensors has no dtype q8_0"));
    expect_error(WG_EDTYPE, "");
    wg_module_free(a);
    wg_module_free(b);
    pop(s);
}
END_TEST

/* ---- wg_module_quantize ---------------------------------------------------------------------- */
/* |a - b| / |b| */
static double distance_of(wg_tensor *a, wg_tensor *b)
{
    const double far = wg_item(wg_sum(wg_square(wg_sub(a, b)), WG_ALL, false));
    return sqrt(far / wg_item(wg_sum(wg_square(b), WG_ALL, false)));
}

START_TEST(a_quantised_llama_says_nearly_the_same)
{
    wg_scope s = wg_scope_push();
    wg_seed(3);
    wg_transformer_config c = wg_llama_config(2, 4, 2, 128, 352, 96, 32);
    c.untied = true;
    wg_module *m = wg_transformer_new(&c);
    wg_tensor *tokens = wg_randint(0, 96, WG_DIMS(2, 20));
    wg_use_grad(false);
    wg_tensor *want = wg_forward(m, tokens);
    static const struct {
        wg_dtype t;
        double most;
    } steps[] = { { WG_Q8_0, 0.02 }, { WG_Q5_1, 0.1 }, { WG_Q4_0, 0.25 } };
    for (int i = 0; i < 3; i++) {
        wg_module *q = wg_transformer_new(&c);
        wg_params from = wg_module_params(m);
        for (int64_t k = 0; k < from.n; k++) wg_module_put(q, from.p[k].name, from.p[k].tensor);
        wg_module_quantize(q, NULL, steps[i].t);
        expect_no_error();
        ck_assert_int_eq(wg_dtype_of(at(q, "model.layers.1.self_attn.k_proj.weight")), steps[i].t);
        ck_assert_int_eq(wg_dtype_of(at(q, "lm_head.weight")), steps[i].t);
        ck_assert_int_eq(wg_dtype_of(at(q, "model.embed_tokens.weight")), WG_F32);
        ck_assert_int_eq(wg_dtype_of(at(m, "lm_head.weight")), WG_F32); /* was only shared */
        const double far = distance_of(wg_forward(q, tokens), want);
        expect_no_error();
        ck_assert_msg(far > 0 && far < steps[i].most, "%s: %g", wg_dtype_name(steps[i].t), far);
        wg_tensor *few = wg_forward(q, wg_narrow(tokens, 0, 0, 1)); /* 20 rows: in 8 bits */
        ck_assert_double_lt(distance_of(few, wg_narrow(want, 0, 0, 1)), steps[i].most);
        wg_module_free(q);
    }
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(quantising_chooses_by_name_and_leaves_what_has_no_blocks)
{
    wg_scope s = wg_scope_push();
    wg_module *m = pair();
    wg_sequential_add(m, wg_linear_new(32, 40));
    wg_sequential_add(m, wg_linear_new(40, 8));
    wg_sequential_add(m, wg_linear_new(64, 8, .in_out = true));
    wg_module_quantize(m, "5.*", WG_Q4_0);
    expect_error(WG_ENOTFOUND, "module_quantize: no Linear's weight is called \"5.*\"");
    wg_module_quantize(m, "?.bias", WG_Q4_0);
    expect_error(WG_ENOTFOUND, "module_quantize: ");
    wg_module_quantize(m, NULL, WG_F16);
    expect_error(WG_EDTYPE, "module_quantize: f16 has no blocks");
    wg_module_quantize(m, "0.*", WG_Q4_0);
    ck_assert_int_eq(wg_dtype_of(at(m, "0.weight")), WG_Q4_0);
    ck_assert_int_eq(wg_dtype_of(at(m, "1.weight")), WG_F32);
    wg_module_quantize(m, NULL, WG_Q8_0);
    ck_assert_int_eq(wg_dtype_of(at(m, "0.weight")), WG_Q8_0);
    ck_assert_int_eq(wg_dtype_of(at(m, "1.weight")), WG_Q8_0);
    ck_assert_int_eq(wg_dtype_of(at(m, "2.weight")), WG_Q8_0);
    ck_assert_int_eq(wg_dtype_of(at(m, "3.weight")), WG_F32);
    ck_assert_int_eq(wg_dtype_of(at(m, "4.weight")), WG_F32);
    ck_assert(!wg_requires_grad(at(m, "0.weight")) && wg_requires_grad(at(m, "0.bias")));
    wg_module_quantize(m, NULL, WG_Q6_K); /* 256 divides none of these rows */
    expect_no_error();
    wg_module_free(m);
    m = wg_linear_new(256, 2);
    wg_module_quantize(m, "weight", WG_Q6_K);
    expect_error(WG_EDTYPE, "cast: q6_k is only read");
    ck_assert_int_eq(wg_dtype_of(at(m, "weight")), WG_F32);
    wg_tensor *y = wg_forward(m, wg_require_grad(wg_randn(WG_DIMS(2, 256))));
    wg_module_quantize(m, NULL, WG_Q8_0);
    expect_error(WG_EGRAD, "weight is held by a graph");
    ck_assert(wg_backward(wg_sum(y, WG_ALL, false)) == WG_OK);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* A frozen layer in blocks above one that learns: backward goes through it. */
START_TEST(training_reaches_through_a_quantised_layer)
{
    wg_scope s = wg_scope_push();
    wg_seed(5);
    wg_module *m = pair();
    wg_tensor *x = wg_randn(WG_DIMS(48, 64)), *goal = wg_randn(WG_DIMS(48, 32));
    wg_module_quantize(m, "1.*", WG_Q4_0);
    wg_optim *opt = wg_adamw_new(.model = m, .lr = 1e-2);
    expect_no_error();
    double first = 0, last = 0;
    for (int i = 0; i < 40; i++) {
        wg_scope step = wg_scope_push();
        wg_tensor *loss = wg_mse_loss(.x = wg_forward(m, x), .target = goal);
        last = wg_item(loss);
        if (i == 0) first = last;
        ck_assert(wg_backward(loss) == WG_OK);
        wg_optim_step(opt);
        pop(step);
    }
    ck_assert_msg(last < 0.6 * first, "%g to %g", first, last);
    ck_assert_int_eq(wg_dtype_of(at(m, "1.weight")), WG_Q4_0);
    wg_optim_free(opt);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_quantised_model_summarises_and_recomputes)
{
    wg_scope s = wg_scope_push();
    wg_module *m = pair(), *alone = wg_linear_new(64, 32, .no_bias = true);
    wg_module_quantize(m, NULL, WG_Q8_0);
    wg_module_quantize(alone, NULL, WG_Q8_0);
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    wg_module_summary(f, m, wg_randn(WG_DIMS(2, 64)));
    fclose(f);
    expect_no_error();
    ck_assert_ptr_nonnull(strstr(text, "9,312 parameters, 96 trainable"));
    free(text);
    ck_assert_int_eq(wg_dtype_of(at(m, "0.weight")), WG_Q8_0);
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(40, 64))), *dx[2];
    for (int i = 0; i < 2; i++) {
        wg_module_recompute(m, i == 1);
        wg_tensor *loss = wg_sum(wg_square(wg_forward(m, x)), WG_ALL, false);
        ck_assert(wg_grad(WG_LIST(loss), WG_LIST(x), WG_NO_LIST, 0, (wg_list) { 1, &dx[i] }) ==
                  WG_OK);
    }
    ck_assert(same(dx[0], dx[1]));
    ck_assert_int_eq(wg_numel(wg_forward(alone, x)), 40 * 32);
    expect_no_error();
    wg_module_free(m);
    wg_module_free(alone);
    pop(s);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("quant_module", (const TTest *[]) {
                                      a_put_value_is_shared_under_the_same_handle,
                                      mapped_and_quantised_parameters_are_frozen,
                                      put_says_what_does_not_fit_and_changes_nothing,
                                      a_tied_parameter_is_put_under_any_name,
                                      a_cast_gives_ordinary_memory_that_stays_frozen,
                                      loads_replace_mappings_and_refuse_blocks,
                                      a_quantised_llama_says_nearly_the_same,
                                      quantising_chooses_by_name_and_leaves_what_has_no_blocks,
                                      training_reaches_through_a_quantised_layer,
                                      a_quantised_model_summarises_and_recomputes,
                                      NULL,
                                  });
    folder_remove();
    return failed;
}
