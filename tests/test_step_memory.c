/* What a training step of GPT-2 holds at its peak, against a count by hand. */

#include "suite.h"

enum { LAYERS = 4, HEADS = 4, WIDTH = 64, VOCAB = 256, BATCH = 4, TIME = 128 };

static wg_module *model;
static wg_optim *optimizer;

static void step(void)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randint(0, VOCAB, WG_DIMS(BATCH, TIME)),
              *y = wg_randint(0, VOCAB, WG_DIMS(BATCH, TIME));
    wg_backward(wg_transformer_loss(model, x, y));
    wg_clip_grad_norm(optimizer, 1.0);
    wg_optim_step(optimizer);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}

static int64_t parameters(void)
{
    wg_scope s = wg_scope_push();
    wg_params p = wg_module_params(model);
    int64_t n = 0;
    for (int64_t i = 0; i < p.n; i++) n += wg_numel(p.p[i].tensor);
    wg_scope_return(s, NULL);
    return n;
}

/* Bytes at the start of backward, when everything that the forward pass saved is alive and no gradient is made yet but
 * that of the logits. Per token and layer, in units of C = WIDTH floats: the stream into ln_1 (1), its result (1), q, k, v
 * (3), attention's result and its copy with the heads joined (2), the stream into ln_2 (1), its result (1), c_fc's result
 * (4), GELU's (4): 17. Besides two statistics a norm, and one a head. */
static int64_t counted_by_hand(void)
{
    int64_t tokens = BATCH * TIME, p = parameters();
    int64_t layer = 17 * WIDTH + 4 + HEADS;
    int64_t head = 2 * WIDTH + 2 +
                   2 * VOCAB; /* the stream into ln_f and its result, logits and their gradient */
    int64_t ids = 2 * 8 * tokens;
    return 4 * (3 * p + tokens * (LAYERS * layer + head)) + ids;
}

START_TEST(a_steps_peak_is_the_count_by_hand)
{
    wg_seed(1);
    wg_transformer_config c = wg_gpt2_config(LAYERS, HEADS, WIDTH, VOCAB, TIME);
    model = wg_transformer_new(&c);
    optimizer = wg_adamw_new(model, .lr = 1e-3);
    ck_assert_ptr_nonnull(optimizer);
    int64_t before = wg_memory_stats(wg_cpu()).current;
    step();
    int64_t state = wg_memory_stats(wg_cpu()).current;
    for (int i = 0; i < 3; i++) {
        wg_memory_reset_peak(wg_cpu());
        step();
        ck_assert_int_eq(wg_memory_stats(wg_cpu()).current, state);
        double peak = (double)wg_memory_stats(wg_cpu()).peak, want = (double)counted_by_hand();
        if (i == 0)
            printf("peak of a step: %.0f bytes, %.0f counted by hand (%+.1f%%)\n", peak, want,
                   100 * (peak / want - 1));
        ck_assert_msg(peak < 1.05 * want && peak > 0.95 * want,
                      "%.0f bytes at the peak, %.0f counted by hand", peak, want);
    }
    ck_assert_int_eq(state - before, 8 * parameters()); /* AdamW's two moments */
    wg_optim_free(optimizer);
    wg_module_free(model);
}
END_TEST

START_TEST(ten_thousand_steps_leave_memory_where_it_was)
{
    wg_transformer_config c = wg_gpt2_config(1, 1, 8, 16, 8);
    wg_module *small = wg_transformer_new(&c);
    wg_optim *o = wg_adamw_new(small, .lr = 1e-3);
    int64_t after_first = 0;
    for (int i = 0; i < 10000; i++) {
        wg_scope s = wg_scope_push();
        wg_tensor *x = wg_randint(0, 16, WG_DIMS(2, 8));
        wg_backward(wg_transformer_loss(small, x, x));
        wg_optim_step(o);
        ck_assert_int_eq(wg_scope_pop(s), WG_OK);
        if (i == 0) after_first = wg_memory_stats(wg_cpu()).current;
    }
    ck_assert_int_eq(wg_memory_stats(wg_cpu()).current, after_first);
    wg_optim_free(o);
    wg_module_free(small);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_steps_peak_is_the_count_by_hand,
        ten_thousand_steps_leave_memory_where_it_was,
        NULL,
    };
    return suite_run("step memory", tests);
}
