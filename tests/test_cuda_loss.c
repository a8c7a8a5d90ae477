/* Losses over many classes on CUDA: linear_cross_entropy, whose forward pass makes the gradients, and models' own loss. On a
 * device (or emulated), against the CPU. */
#include <math.h>

#include "device_compare.h"

typedef struct {
    int64_t classes, first, chunk; /* targets are classes from `first` on */
    double smoothing;
    wg_reduction reduction;
} loss_case;

static void linear_loss(void *self, wg_list in, wg_list out)
{
    const loss_case *c = self;
    int64_t target[128];
    const int64_t rows = wg_size(in.t[0], 0), count = c->classes - c->first;
    for (int64_t i = 0; i < rows; i++)
        target[i] = i % 5 == 2 ? -1 : c->first + (i * 7919 + 3) % count; /* some do not count */
    wg_tensor *t = wg_to(wg_from(target, (size_t)rows * sizeof *target, WG_I64, WG_DIMS(rows)),
                         wg_device_of(in.t[0]));
    out.t[0] = wg_linear_cross_entropy(in.t[0], in.t[1], t, in.t[2], .chunk = c->chunk,
                                       .ignore_index = WG_JUST(-1), .reduction = c->reduction,
                                       .label_smoothing = c->smoothing);
}

static void compare_loss(int t, loss_case c, bool bias, bool hidden)
{
    enum { WIDTH = 24 };
    const wg_dtype type = types[t].type;
    const int64_t rows = c.classes > 1000 ? 9 : 70;
    char what[96];
    snprintf(what, sizeof what, "linear loss %s, %lld classes by %lld rows, smoothing %g, %d",
             wg_dtype_name(type), (long long)c.classes, (long long)c.chunk, c.smoothing,
             (int)c.reduction);
    wg_scope s = wg_scope_push();
    wg_tensor *none = NULL, *b = bias ? wg_randn(WG_DIMS(c.classes)) : none;
    float *values = bias ? wg_data_write(b) : NULL;
    for (int64_t i = 0; hidden && i < c.first; i++)
        values[i] = -INFINITY; /* classes that cannot be */
    const problem p = { what, linear_loss, &c, 1, 2 * types[t].tolerance };
    compare(&p,
            WG_LIST(wg_cast(wg_randn(WG_DIMS(rows, WIDTH)), type),
                    wg_cast(wg_affine(wg_randn(WG_DIMS(c.classes, WIDTH)), 0.3, 0), type),
                    bias ? wg_cast(b, type) : none),
            WG_LIST(c.reduction == WG_NONE ? wg_randn(WG_DIMS(rows)) : wg_full(WG_DIMS(), 0.7)));
    pop(s);
}

START_TEST(losses_over_many_classes_are_those_of_the_cpu)
{
    if (no_device()) return;
    for (int t = 0; t < 4; t++)
        for (int reduction = WG_MEAN; reduction <= WG_NONE; reduction++) {
            const wg_reduction r = (wg_reduction)reduction;
            compare_loss(t, (loss_case) { 203, 0, 0, 0, r }, false, false);
            compare_loss(t, (loss_case) { 200, 0, 32, 0.1, r }, true, false);
            compare_loss(t, (loss_case) { 61, 20, 7, 0, r }, true, true);
            compare_loss(t, (loss_case) { 5003, 0, 4, 0, r }, false,
                         false); /* two rounds of a block */
            compare_loss(t, (loss_case) { 8200, 0, 0, 0.2, r }, true, false);
        }
}
END_TEST

/* No row counts: the mean is 0 / 0, its gradients are zeros, which a sum of micro-batches does not notice. */
START_TEST(a_mean_over_no_rows_has_no_gradient)
{
    if (no_device()) return;
    for (int t = 1; t < 4; t++) {
        wg_scope s = wg_scope_push();
        wg_use_device(wg_cuda(0));
        const int64_t none[] = { -1, -1, -1 };
        wg_tensor *x = wg_require_grad(wg_cast(wg_randn(WG_DIMS(3, 8)), types[t].type)),
                  *w = wg_require_grad(wg_cast(wg_randn(WG_DIMS(5, 8)), types[t].type)),
                  *target = wg_from(none, sizeof none, WG_I64, WG_DIMS(3));
        wg_tensor *loss = wg_linear_cross_entropy(x, w, target, .ignore_index = WG_JUST(-1));
        ck_assert(isnan(wg_item(loss)));
        ck_assert_int_eq(wg_backward(loss), WG_OK);
        ck_assert(wg_item(wg_max(wg_abs(wg_grad_of(x)), WG_ALL, false)) == 0);
        ck_assert(wg_item(wg_max(wg_abs(wg_grad_of(w)), WG_ALL, false)) == 0);
        pop(s);
    }
}
END_TEST

/* 29,999 probabilities of e^-18, each below what f16 can hold, have one direction and together 4.6e-4. */
START_TEST(small_probabilities_are_not_lost_in_f16)
{
    enum { V = 30000, C = 8 };
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    float *values = wg_scope_alloc(V * C * sizeof *values), one[C] = { 1 };
    memset(values, 0, V * C * sizeof *values);
    values[0] = 18; /* the target's logit; the others' are 0 */
    for (int j = 1; j < V; j++) values[j * C + 1] = 1;
    wg_tensor *w = wg_cast(wg_from(values, V * C * sizeof *values, WG_F32, WG_DIMS(V, C)), WG_F16),
              *x = wg_cast(wg_from(one, sizeof one, WG_F32, WG_DIMS(1, C)), WG_F16);
    x = wg_require_grad(wg_detach(wg_to(x, wg_cuda(0))));
    wg_tensor *target = wg_to(wg_from((int64_t[]) { 0 }, 8, WG_I64, WG_DIMS(1)), wg_cuda(0));
    ck_assert_int_eq(wg_backward(wg_linear_cross_entropy(x, wg_to(w, wg_cuda(0)), target)), WG_OK);
    const double rest = (V - 1) * exp(-18),
                 got = wg_item(wg_select(wg_select(wg_grad_of(x), 0, 0), 0, 1));
    ck_assert_double_eq_tol(got, rest / (1 + rest), 1e-2 * rest);
    pop(s);
}
END_TEST

/* What is frozen costs no memory between forward and backward. */
START_TEST(a_loss_keeps_only_gradients_that_are_wanted)
{
    if (no_device()) return;
    for (int frozen = 0; frozen < 2; frozen++) {
        wg_scope s = wg_scope_push();
        wg_use_device(wg_cuda(0));
        wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(4, 64))), *w = wg_randn(WG_DIMS(1000, 64)),
                  *target = wg_randint(0, 1000, WG_DIMS(4));
        if (!frozen) w = wg_require_grad(w);
        const int64_t before = wg_memory_stats(wg_cuda(0)).current;
        wg_tensor *loss = wg_linear_cross_entropy(x, w, target);
        const int64_t kept = wg_memory_stats(wg_cuda(0)).current - before, whole = 1000 * 64 * 4;
        ck_assert_msg((kept >= whole) == !frozen, "%lld bytes kept", (long long)kept);
        ck_assert_int_eq(wg_backward(loss), WG_OK);
        ck_assert(frozen == !wg_grad_of(w) && wg_grad_of(x));
        pop(s);
    }
}
END_TEST

static void count_call(void *self, wg_module *m, wg_tensor *x, wg_tensor *y)
{
    (void)m;
    (void)x;
    (void)y;
    ++*(int *)self;
}

/* Whatever Linear the head is, with a bias, with its weight turned, watched: the loss is that of its logits. */
START_TEST(a_model_s_loss_is_that_of_its_head_s_logits)
{
    if (no_device()) return;
    wg_scope s = wg_scope_push();
    wg_use_device(wg_cuda(0));
    wg_transformer_config c = wg_gpt2_config(1, 2, 32, 20, 8);
    c.untied = true;
    wg_module *m = wg_transformer_new(&c);
    int64_t ids[16];
    for (int i = 0; i < 16; i++) ids[i] = i * 3 % 20;
    wg_tensor *x = wg_from(ids, sizeof ids, WG_I64, WG_DIMS(2, 8));
    for (int head = 0; head < 4; head++) {
        int calls = 0;
        if (head == 1) wg_module_free(wg_module_swap(m, "lm_head", wg_linear_new(32, 20)));
        if (head == 2)
            wg_module_free(wg_module_swap(m, "lm_head", wg_linear_new(32, 20, .in_out = true)));
        if (head == 3) wg_module_hook(wg_module_at(m, "lm_head"), count_call, &calls);
        const double got = wg_item(wg_transformer_loss(m, x, x));
        ck_assert_int_eq(calls, head == 3);
        ck_assert_double_eq_tol(got, wg_item(wg_cross_entropy(wg_forward(m, x), x)), 1e-5);
    }
    wg_module_free(m);
    pop(s);
}
END_TEST

/* A whole model's loss and gradients, in f32 and under autocast: GPT-2, and a Llama with fewer heads of keys. */
START_TEST(models_have_the_gradients_that_they_have_on_the_cpu)
{
    if (no_device()) return;
    for (int kind = 0; kind < 2; kind++)
        for (int low = 0; low < 2; low++) {
            wg_scope s = wg_scope_push();
            const wg_transformer_config c =
                kind ? wg_llama_config(2, 4, 2, 32, 48, 37, 16) : wg_gpt2_config(2, 2, 32, 37, 16);
            int64_t ids[2][12];
            for (int i = 0; i < 24; i++) ids[i / 12][i % 12] = i * i * 5 % 37;
            wg_module *on[2];
            double loss[2];
            for (int d = 0; d < 2; d++) {
                wg_scope inner = wg_scope_push();
                wg_seed(3);
                on[d] = wg_transformer_new(&c);
                wg_module_train(on[d], true);
                if (d) wg_module_to(on[d], wg_cuda(0));
                if (low) wg_use_autocast(WG_BF16);
                wg_tensor *x = wg_to(wg_from(ids, sizeof ids, WG_I64, WG_DIMS(2, 12)),
                                     d ? wg_cuda(0) : wg_cpu());
                wg_tensor *l = wg_transformer_loss(on[d], x, x);
                loss[d] = wg_item(l);
                ck_assert_int_eq(wg_backward(l), WG_OK);
                (void)!wg_scope_pop(inner);
            }
            const problem p = { kind ? "llama" : "gpt2", NULL, NULL, 0, low ? 4e-2 : 1e-5 };
            ck_assert_double_eq_tol(loss[0], loss[1], p.tolerance);
            const wg_params a = wg_module_params(on[0]), b = wg_module_params(on[1]);
            for (int64_t i = 0; i < a.n; i++) {
                ck_assert_int_eq(wg_dtype_of(wg_grad_of(b.p[i].tensor)), WG_F32);
                check_close(&p, a.p[i].name, i, wg_grad_of(b.p[i].tensor),
                            wg_grad_of(a.p[i].tensor));
            }
            for (int d = 0; d < 2; d++) wg_module_free(on[d]);
            pop(s);
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        losses_over_many_classes_are_those_of_the_cpu,
        a_mean_over_no_rows_has_no_gradient,
        small_probabilities_are_not_lost_in_f16,
        a_loss_keeps_only_gradients_that_are_wanted,
        a_model_s_loss_is_that_of_its_head_s_logits,
        models_have_the_gradients_that_they_have_on_the_cpu,
        NULL,
    };
    return suite_run("cuda loss", tests);
}
