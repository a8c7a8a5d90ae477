/* Optimizers against their formulas in f64, step by step; groups, clipping, schedules. */
#include <math.h>

#include "optim_check.h"

/* ---- twenty steps of each rule ------------------------------------------------------------------------------------ */
typedef struct {
    double p[SIZE], m[SIZE], v[SIZE];
} plain;
/* One element of the rule, written from its formula; k counts from 1. */
typedef void (*rule)(double *p, double *m, double *v, double g, int64_t k);

static void adamw(double *p, double *m, double *v, double g, int64_t k)
{
    *p -= 0.01 * 0.1 * *p;
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.95 * *v + 0.05 * g * g;
    const double mean = *m / (1 - pow(0.9, (double)k)), square = *v / (1 - pow(0.95, (double)k));
    *p -= 0.01 * mean / (sqrt(square) + 1e-8);
}

static void adam_defaults(double *p, double *m, double *v, double g, int64_t k)
{
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.999 * *v + 0.001 * g * g;
    const double mean = *m / (1 - pow(0.9, (double)k)), square = *v / (1 - pow(0.999, (double)k));
    *p -= 1e-3 * mean / (sqrt(square) + 1e-8);
}

static void adam_l2(double *p, double *m, double *v, double g, int64_t k)
{
    adam_defaults(p, m, v, g + 0.1 * *p, k);
}

static void adamw_defaults(double *p, double *m, double *v, double g, int64_t k)
{
    *p -= 1e-3 * 0.01 * *p;
    adam_defaults(p, m, v, g, k);
}

static void sgd(double *p, double *m, double *v, double g, int64_t k)
{
    (void)m, (void)v, (void)k;
    *p -= 0.1 * (g + 0.01 * *p);
}

static void sgd_momentum(double *p, double *m, double *v, double g, int64_t k)
{
    (void)v;
    *m = k == 1 ? g : 0.9 * *m + (1 - 0.3) * g;
    *p -= 0.1 * *m;
}

static void sgd_nesterov(double *p, double *m, double *v, double g, int64_t k)
{
    (void)v;
    g += 0.01 * *p;
    *m = k == 1 ? g : 0.9 * *m + g;
    *p -= 0.1 * (g + 0.9 * *m);
}

static void lion(double *p, double *m, double *v, double g, int64_t k)
{
    (void)v, (void)k;
    const double c = 0.9 * *m + 0.1 * g;
    *p -= 0.01 * ((c > 0) - (c < 0) + 0.1 * *p);
    *m = 0.99 * *m + 0.01 * g;
}

static void follow(wg_module *m, wg_optim *o, rule r, double tolerance)
{
    ck_assert_ptr_nonnull(o);
    const wg_scope s = wg_scope_push();
    wg_tensor *p[] = { param(m, "weight"), param(m, "bias") };
    plain want[2] = { 0 };
    for (int j = 0; j < 2; j++) values_of(p[j], want[j].p);
    for (int64_t k = 1; k <= 20; k++) {
        for (int j = 0; j < 2; j++) give_gradient(p[j], k);
        ck_assert_int_eq(wg_optim_step(o), WG_OK);
        for (int j = 0; j < 2; j++) {
            double got[SIZE];
            values_of(p[j], got);
            ck_assert_ptr_null(wg_grad_of(p[j]));
            for (int64_t i = 0; i < SIZE; i++) {
                r(&want[j].p[i], &want[j].m[i], &want[j].v[i], gradient(i, k), k);
                ck_assert_double_eq_tol(got[i], want[j].p[i],
                                        tolerance * (fabs(want[j].p[i]) + 0.1));
            }
        }
    }
    ck_assert_int_eq(wg_optim_steps(o), 20);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}

START_TEST(twenty_steps_follow_the_formulas)
{
    static const wg_dtype dtypes[] = { WG_F64, WG_F32 };
    for (int d = 0; d < 2; d++) {
        const double tol = dtypes[d] == WG_F64 ? 1e-13 : 1e-5;
        wg_module *m = new_pair(dtypes[d]);
        follow(m, wg_adamw_new(m, .lr = 0.01, .beta2 = 0.95, .weight_decay = 0.1), adamw, tol);
        m = new_pair(dtypes[d]);
        follow(m, wg_adamw_new(m), adamw_defaults, tol);
        m = new_pair(dtypes[d]);
        follow(m, wg_adamw_new(m, .weight_decay = -1), adam_defaults, tol);
        m = new_pair(dtypes[d]);
        follow(m, wg_adam_new(m), adam_defaults, tol);
        m = new_pair(dtypes[d]);
        follow(m, wg_adam_new(m, .weight_decay = 0.1), adam_l2, tol);
        m = new_pair(dtypes[d]);
        follow(m, wg_sgd_new(m, .lr = 0.1, .weight_decay = 0.01), sgd, tol);
        m = new_pair(dtypes[d]);
        follow(m, wg_sgd_new(m, .lr = 0.1, .momentum = 0.9, .dampening = 0.3), sgd_momentum, tol);
        m = new_pair(dtypes[d]);
        follow(m, wg_sgd_new(m, .lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true),
               sgd_nesterov, tol);
        m = new_pair(dtypes[d]);
        follow(m, wg_lion_new(m, .lr = 0.01, .weight_decay = 0.1), lion, tol);
    }
    wg_module *m = new_pair(WG_BF16); /* one rounding a step of 2^-9 */
    follow(m, wg_sgd_new(m, .lr = 0.1, .weight_decay = 0.01), sgd, 0.1);
}
END_TEST

/* ---- Muon ----------------------------------------------------------------------------------------------------------- */
/* c (n, n') = a (n, k) b (k, n'), in f64. */
static void product(const double *a, const double *b, double *c, int n, int k, int n2)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n2; j++) {
            c[i * n2 + j] = 0;
            for (int l = 0; l < k; l++) c[i * n2 + j] += a[i * k + l] * b[l * n2 + j];
        }
}

/* x (ROWS, COLUMNS) -> five Newton-Schulz steps of its transpose, the short side first. */
static void newton_schulz(const double *u, double *out)
{
    double x[SIZE], xt[SIZE], a[COLUMNS * COLUMNS], aa[COLUMNS * COLUMNS], ax[SIZE], norm = 0;
    for (int i = 0; i < SIZE; i++) norm += u[i] * u[i];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++)
            x[j * ROWS + i] = u[i * COLUMNS + j] / (sqrt(norm) + 1e-7);
    for (int k = 0; k < 5; k++) {
        for (int i = 0; i < COLUMNS; i++)
            for (int j = 0; j < ROWS; j++) xt[j * COLUMNS + i] = x[i * ROWS + j];
        product(x, xt, a, COLUMNS, ROWS, COLUMNS);
        product(a, a, aa, COLUMNS, COLUMNS, COLUMNS);
        for (int i = 0; i < COLUMNS * COLUMNS; i++) aa[i] = -4.7750 * a[i] + 2.0315 * aa[i];
        product(aa, x, ax, COLUMNS, COLUMNS, ROWS);
        for (int i = 0; i < SIZE; i++) x[i] = 3.4445 * x[i] + ax[i];
    }
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) out[i * COLUMNS + j] = x[j * ROWS + i];
}

START_TEST(muon_orthogonalises_matrices_and_gives_the_rest_to_adamw)
{
    wg_module *m = new_pair(WG_F64);
    wg_optim *o = wg_muon_new(m, .lr = 0.02, .weight_decay = 0.1);
    const wg_scope s = wg_scope_push();
    wg_tensor *w = param(m, "weight"), *b = param(m, "bias");
    double p[SIZE], buffer[SIZE] = { 0 }, u[SIZE], x[SIZE], got[SIZE];
    plain rest = { 0 };
    values_of(w, p);
    values_of(b, rest.p);
    for (int64_t k = 1; k <= 10; k++) {
        give_gradient(w, k);
        give_gradient(b, k);
        ck_assert_int_eq(wg_optim_step(o), WG_OK);
        for (int64_t i = 0; i < SIZE; i++) {
            buffer[i] = 0.95 * buffer[i] + 0.05 * gradient(i, k);
            u[i] = 0.05 * gradient(i, k) + 0.95 * buffer[i];
            rest.p[i] *= 1 - 3e-4 * 0.1;
            rest.m[i] = 0.9 * rest.m[i] + 0.1 * gradient(i, k);
            rest.v[i] = 0.95 * rest.v[i] + 0.05 * gradient(i, k) * gradient(i, k);
            rest.p[i] -= 3e-4 * (rest.m[i] / (1 - pow(0.9, (double)k))) /
                         (sqrt(rest.v[i] / (1 - pow(0.95, (double)k))) + 1e-10);
        }
        newton_schulz(u, x);
        for (int i = 0; i < SIZE; i++)
            p[i] = p[i] * (1 - 0.02 * 0.1) - 0.02 * sqrt((double)ROWS / COLUMNS) * x[i];
    }
    values_of(w, got);
    for (int i = 0; i < SIZE; i++) ck_assert_double_eq_tol(got[i], p[i], 1e-10);
    values_of(b, got);
    for (int i = 0; i < SIZE; i++) ck_assert_double_eq_tol(got[i], rest.p[i], 1e-12);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

static void note_matrix(void *self, const wg_param_ref *p, wg_group *g)
{
    char *text = self;
    strcat(text, p->name);
    strcat(text, g->matrix ? "+ " : "- ");
}

START_TEST(muon_leaves_embeddings_and_heads_to_adamw)
{
    const wg_scope s = begin();
    wg_transformer_config c = wg_gpt2_config(1, 2, 8, 11, 4);
    c.untied = true;
    wg_module *m = wg_transformer_new(&c);
    char names[1024] = "";
    wg_optim *o = wg_muon_new(m, .group = note_matrix, .self = names);
    wg_optim_state(o); /* asks for the groups */
    expect_no_error();
    ck_assert_msg(strstr(names, "wte.weight- ") && strstr(names, "lm_head.weight- "), "%s", names);
    ck_assert_msg(strstr(names, "c_attn.weight+ ") && strstr(names, "c_attn.bias- "), "%s", names);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* ---- groups, freezing --------------------------------------------------------------------------------------------- */
static int group_calls;
static void groups(void *self, const wg_param_ref *p, wg_group *g)
{
    ck_assert_ptr_eq(self, &group_calls);
    ck_assert_double_eq(g->lr_scale, 1);
    ck_assert_double_eq(g->weight_decay, 0.5);
    group_calls++;
    if (wg_ndim(p->tensor) < 2) g->weight_decay = 0;
    if (wg_match("inner.*", p->name)) g->lr_scale = 0.1;
    if (strcmp(p->name, "inner.bias") == 0) g->skip = true;
}

START_TEST(groups_change_rate_decay_and_skip)
{
    const wg_scope s = begin();
    wg_module *m = wg_module_new(&pair_type, &(pair_config) { WG_F64, true });
    wg_optim *o =
        wg_sgd_new(m, .lr = 0.1, .weight_decay = 0.5, .group = groups, .self = &group_calls);
    static const char *const names[] = { "weight", "bias", "inner.weight", "inner.bias" };
    static const double rates[] = { 0.1, 0.1, 0.01, 0 }, decays[] = { 0.5, 0, 0.5, 0 };
    group_calls = 0;
    for (int64_t k = 1; k <= 2; k++)
        for (int j = 0; j < 4; j++) {
            wg_tensor *p = param(m, names[j]);
            double before[SIZE], after[SIZE];
            values_of(p, before);
            give_gradient(p, k);
            ck_assert_int_eq(wg_optim_step(o), WG_OK);
            ck_assert_ptr_null(wg_grad_of(p));
            values_of(p, after);
            for (int64_t i = 0; i < SIZE; i++)
                ck_assert_double_eq_tol(
                    after[i], before[i] - rates[j] * (gradient(i, k) + decays[j] * before[i]),
                    1e-14);
        }
    ck_assert_int_eq(group_calls, 4);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* A parameter that was frozen for three steps begins with its own first step. */
START_TEST(a_parameter_unfrozen_later_begins_at_its_first_step)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F64);
    wg_optim *o = wg_adam_new(m);
    wg_tensor *w = param(m, "weight"), *b = param(m, "bias");
    double want[SIZE], got[SIZE];
    plain x = { 0 };
    for (int64_t k = 1; k <= 3; k++) {
        give_gradient(w, k);
        ck_assert_int_eq(wg_optim_step(o), WG_OK);
    }
    values_of(b, want);
    give_gradient(b, 4);
    ck_assert_int_eq(wg_optim_step(o), WG_OK);
    for (int64_t i = 0; i < SIZE; i++) adam_defaults(&want[i], &x.m[i], &x.v[i], gradient(i, 4), 1);
    values_of(b, got);
    for (int64_t i = 0; i < SIZE; i++) ck_assert_double_eq_tol(got[i], want[i], 1e-13);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(nothing_moves_while_an_error_is_pending)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = wg_adamw_new(m);
    wg_tensor *w = param(m, "weight");
    double before[SIZE], after[SIZE];
    values_of(w, before);
    give_gradient(w, 1);
    wg_raise(WG_EARG, "something");
    ck_assert_int_eq(wg_optim_step(o), WG_EARG);
    ck_assert(wg_is_error(wg_clip_grad_norm(o, 1)));
    ck_assert_int_eq(wg_clip_grad_value(o, 0), WG_EARG);
    wg_error_clear();
    values_of(w, after);
    ck_assert_mem_eq(before, after, sizeof before);
    ck_assert_ptr_nonnull(wg_grad_of(w));
    ck_assert_int_eq(wg_optim_steps(o), 0);
    values_of(wg_grad_of(w), after);
    for (int64_t i = 0; i < SIZE; i++) ck_assert_double_eq_tol(after[i], gradient(i, 1), 1e-6);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(bad_numbers_and_null_are_errors)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    ck_assert_ptr_null(wg_adamw_new(NULL));
    fails(WG_EARG, "adamw: the model is NULL");
    ck_assert_ptr_null(wg_adamw_new(m, .lr = -1));
    fails(WG_EARG, "adamw: lr -1 is negative");
    ck_assert_ptr_null(wg_adam_new(m, .beta1 = 1));
    fails(WG_EARG, "adam: beta1");
    ck_assert_ptr_null(wg_sgd_new(m, .nesterov = true));
    fails(WG_EARG, "sgd: nesterov");
    ck_assert_int_eq(wg_optim_step(NULL), WG_EARG);
    fails(WG_EARG, "optim_step");
    wg_optim_free(NULL);
    wg_optim_drop_grads(NULL);
    ck_assert(isnan(wg_optim_lr(NULL)));
    wg_module_free(m);
    pop(s);
}
END_TEST

/* ---- clipping -------------------------------------------------------------------------------------------------------- */
START_TEST(clipping_by_norm_scales_all_gradients_together)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = wg_adamw_new(m);
    wg_tensor *w = param(m, "weight"), *b = param(m, "bias");
    double sum = 0, g[SIZE];
    give_gradient(w, 1);
    give_gradient(b, 2);
    for (int64_t i = 0; i < SIZE; i++)
        sum += gradient(i, 1) * gradient(i, 1) + gradient(i, 2) * gradient(i, 2);
    ck_assert_double_eq_tol(wg_item(wg_clip_grad_norm(o, 100)), sqrt(sum),
                            1e-5); /* below: nothing changes */
    values_of(wg_grad_of(b), g);
    for (int64_t i = 0; i < SIZE; i++) ck_assert_double_eq(g[i], (float)gradient(i, 2));
    wg_tensor *norm = wg_clip_grad_norm(o, 0.5);
    ck_assert_int_eq(wg_ndim(norm), 0);
    ck_assert_double_eq_tol(wg_item(norm), sqrt(sum), 1e-5);
    values_of(wg_grad_of(b), g);
    for (int64_t i = 0; i < SIZE; i++)
        ck_assert_double_eq_tol(g[i], gradient(i, 2) * 0.5 / (sqrt(sum) + 1e-6), 1e-7);
    ck_assert_double_eq_tol(wg_item(wg_clip_grad_norm(o, 0.5)), 0.5, 1e-5);
    wg_set_grad(w, wg_expand(wg_full(WG_DIMS(1, 1), 2),
                             WG_DIMS(ROWS, COLUMNS))); /* not writable in place */
    wg_drop_grad(b);
    ck_assert_double_eq_tol(wg_item(wg_clip_grad_norm(o, 1)), 2 * sqrt(SIZE), 1e-5);
    ck_assert_double_eq_tol(wg_item(wg_norm(wg_grad_of(w), 2, WG_ALL, false)), 1, 1e-5);
    wg_set_grad(w, wg_full(WG_DIMS(ROWS, COLUMNS), NAN));
    ck_assert(isnan(wg_item(wg_clip_grad_norm(o, 1))));
    wg_optim_drop_grads(o);
    ck_assert_ptr_null(wg_grad_of(w));
    ck_assert_double_eq(wg_item(wg_clip_grad_norm(o, 1)), 0); /* no gradients */
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(the_norm_has_the_same_bits_on_any_number_of_threads)
{
    const wg_scope s = begin();
    wg_module *m = wg_linear_new(1000, 700);
    wg_optim *o = wg_adamw_new(m);
    wg_set_grad(param(m, "weight"), wg_randn(WG_DIMS(700, 1000)));
    wg_use_threads(1);
    const double one = wg_item(wg_clip_grad_norm(o, 1e9));
    wg_use_threads(2);
    ck_assert_double_eq(wg_item(wg_clip_grad_norm(o, 1e9)), one);
    wg_use_threads(0);
    ck_assert_double_eq_tol(one, sqrt(700e3), 5);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(clipping_by_value_clamps)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = wg_adamw_new(m);
    double g[SIZE];
    give_gradient(param(m, "weight"), 3);
    ck_assert_int_eq(wg_clip_grad_value(o, 0.25), WG_OK);
    values_of(wg_grad_of(param(m, "weight")), g);
    for (int64_t i = 0; i < SIZE; i++)
        ck_assert_double_eq_tol(g[i], fmax(-0.25, fmin(0.25, gradient(i, 3))), 1e-6);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* ---- schedules ---------------------------------------------------------------------------------------------------------- */
START_TEST(schedules_have_their_values)
{
    wg_schedule c = { .kind = WG_COSINE, .peak = 1, .floor = 0.1, .warmup = 10, .total = 110 };
    ck_assert_double_eq_tol(wg_schedule_at(&c, 0), 1.0 / 11, 1e-15);
    ck_assert_double_eq_tol(wg_schedule_at(&c, 9), 10.0 / 11, 1e-15);
    ck_assert_double_eq_tol(wg_schedule_at(&c, 10), 1, 1e-15);
    ck_assert_double_eq_tol(wg_schedule_at(&c, 60), 0.55, 1e-15);
    ck_assert_double_eq_tol(wg_schedule_at(&c, 35), 0.1 + 0.45 * (1 + sqrt(0.5)), 1e-15);
    ck_assert_double_eq_tol(wg_schedule_at(&c, 110), 0.1, 1e-15);
    ck_assert_double_eq_tol(wg_schedule_at(&c, 10000), 0.1, 1e-15);
    c.kind = WG_LINEAR;
    ck_assert_double_eq_tol(wg_schedule_at(&c, 35), 0.775, 1e-15);
    c.kind = WG_CONSTANT;
    ck_assert_double_eq(wg_schedule_at(&c, 5000), 1);
    c.kind = WG_WSD;
    c.decay = 20;
    ck_assert_double_eq(wg_schedule_at(&c, 90), 1);
    ck_assert_double_eq_tol(wg_schedule_at(&c, 100), 0.55, 1e-15);
    ck_assert_double_eq_tol(wg_schedule_at(&c, 110), 0.1, 1e-15);
    const wg_schedule none = { .kind = WG_LINEAR, .peak = 1 }; /* total 0 */
    ck_assert_double_eq(wg_schedule_at(&none, 0), 0);
}
END_TEST

int main(void)
{
    return suite_run(
        "optim", (const TTest *[]) {
                     twenty_steps_follow_the_formulas,
                     muon_orthogonalises_matrices_and_gives_the_rest_to_adamw,
                     muon_leaves_embeddings_and_heads_to_adamw, groups_change_rate_decay_and_skip,
                     a_parameter_unfrozen_later_begins_at_its_first_step,
                     nothing_moves_while_an_error_is_pending, bad_numbers_and_null_are_errors,
                     clipping_by_norm_scales_all_gradients_together,
                     the_norm_has_the_same_bits_on_any_number_of_threads, clipping_by_value_clamps,
                     schedules_have_their_values, NULL });
}
