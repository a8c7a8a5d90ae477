/* Perplexity and scores of endings against direct computations in f64, one token at a time. */
#include <stdint.h>

#include "nn_check.h"

enum { V = 23, BLOCK = 16, N = 61 };

static wg_module *model(bool gpt)
{
    const wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_transformer_config c =
        gpt ? wg_gpt2_config(2, 2, 16, V, BLOCK) : wg_llama_config(2, 4, 2, 16, 24, V, BLOCK);
    c.dropout = 0.3; /* must not act */
    wg_module *m = wg_transformer_new(&c);
    wg_use_grad(false);
    const wg_params p = wg_module_params(m); /* far from uniform predictions */
    for (int64_t i = 0; i < p.n; i++)
        ck_assert_int_eq(wg_assign(p.p[i].tensor, wg_affine(p.p[i].tensor, 8, 0)), WG_OK);
    pop(s);
    return m;
}

static void text(int64_t *ids, int n)
{
    for (int i = 0; i < n; i++) ids[i] = (i * i * 5 + i / 3 + 2) % V;
}

/* -log p(target | the n ids before), from whole logits by the formula. */
static double surprise(wg_module *m, const int64_t *ids, int64_t n, int64_t target)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_module_train(m, false);
    wg_tensor *x = wg_from(ids, (size_t)n * sizeof *ids, WG_I64, WG_DIMS(1, n));
    double row[V], largest = -INFINITY, sum = 0;
    wg_tensor *last = wg_select(wg_select(wg_forward(m, x), 0, 0), 0, -1);
    ck_assert_int_eq(wg_read(last, row, sizeof row, WG_F64), WG_OK);
    wg_module_train(m, true);
    for (int i = 0; i < V; i++) largest = fmax(largest, row[i]);
    for (int i = 0; i < V; i++) sum += exp(row[i] - largest);
    pop(s);
    return log(sum) + largest - row[target];
}

/* The first window of `window` inputs, at multiples of stride, that reaches the id as a target. */
static double direct(wg_module *m, const int64_t *ids, int n, int window, int stride)
{
    double sum = 0;
    for (int t = 1; t < n; t++) {
        int begin = 0;
        while (begin + window < t) begin += stride;
        sum += surprise(m, ids + begin, t - begin, ids[t]);
    }
    return sum / (n - 1);
}

START_TEST(every_token_is_scored_once_with_its_windows_context)
{
    static const int cases[][3] = { { 16, 8, 0 }, { 16, 16, 0 }, { 16, 1, 0 }, { 7, 3, 2 },
                                    { 1, 1, 3 },  { 5, 5, 4 },   { 16, 13, 1 } };
    int64_t ids[N];
    text(ids, N);
    for (int gpt = 0; gpt < 2; gpt++) {
        const wg_scope s = begin();
        wg_module *m = model(gpt);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (int n = N - 3; n <= N; n += 3) {
                wg_perplexity_result r;
                ck_assert_int_eq(wg_perplexity(m, ids, n, &r, .window = cases[i][0],
                                               .stride = cases[i][1], .batch = cases[i][2]),
                                 WG_OK);
                const double want = direct(m, ids, n, cases[i][0], cases[i][1]);
                ck_assert_int_eq(r.tokens, n - 1);
                ck_assert_msg(fabs(r.nll - want) < 1e-12 * want, "%d/%d of %d: %.15g, %.15g",
                              cases[i][0], cases[i][1], n, r.nll, want);
                ck_assert_double_eq(r.perplexity, exp(r.nll));
            }
        wg_module_free(m);
        pop(s);
    }
}
END_TEST

START_TEST(short_texts_and_defaults)
{
    const wg_scope s = begin();
    int64_t ids[N];
    text(ids, N);
    wg_module *m = model(true);
    wg_perplexity_result r;
    ck_assert_int_eq(wg_perplexity(m, ids, 2, &r), WG_OK);
    ck_assert_int_eq(r.tokens, 1);
    ck_assert_double_eq_tol(r.nll, surprise(m, ids, 1, ids[1]), 1e-12);
    ck_assert_int_eq(wg_perplexity(m, ids, 9, &r, .window = 16, .stride = 16), WG_OK);
    ck_assert_double_eq_tol(r.nll, direct(m, ids, 9, 16, 16), 1e-12);
    ck_assert_int_eq(wg_perplexity(m, ids, N, &r), WG_OK);
    ck_assert_double_eq_tol(r.nll, direct(m, ids, N, 16, 8), 1e-12);
    wg_module_free(m);
    pop(s);
}
END_TEST

static wg_tensor *plain_forward(wg_module *m, wg_tensor *x);
typedef struct {
    wg_module base;
    wg_module *inner;
} plain;
static void plain_init(wg_module *m, const void *config)
{
    wg_child(m, "inner", &((plain *)m)->inner, *(wg_module *const *)config);
}
static wg_tensor *plain_forward(wg_module *m, wg_tensor *x)
{
    return wg_forward(((plain *)m)->inner, x);
}
static const wg_module_type plain_type = {
    .name = "plain", .size = sizeof(plain), .init = plain_init, .forward = plain_forward
};

START_TEST(any_module_with_logits_will_do)
{
    const wg_scope s = begin();
    int64_t ids[N];
    text(ids, N);
    wg_module *inner = model(false), *m = wg_module_new(&plain_type, &inner);
    wg_perplexity_result r, want;
    ck_assert_int_eq(wg_perplexity(m, ids, N, &r), WG_EARG);
    fails(WG_EARG, "perplexity: a window of 0");
    ck_assert_int_eq(wg_perplexity(m, ids, N, &r, .window = 12, .stride = 5), WG_OK);
    ck_assert_int_eq(wg_perplexity(inner, ids, N, &want, .window = 12, .stride = 5), WG_OK);
    ck_assert_double_eq_tol(r.nll, want.nll, 1e-13);
    const wg_choice c[2] = { { ids, 9, 4, 7 }, { ids + 3, 6, 5, 2 } };
    wg_choice_score a[2], b[2];
    ck_assert_int_eq(wg_score_choices(m, c, 2, a), WG_OK);
    ck_assert_int_eq(wg_score_choices(inner, c, 2, b), WG_OK);
    for (int i = 0; i < 2; i++) ck_assert_double_eq_tol(a[i].log_prob, b[i].log_prob, 1e-12);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(large_vocabularies_are_projected_in_chunks)
{
    const wg_scope s = begin();
    wg_use_grad(false);
    wg_transformer_config c = wg_gpt2_config(1, 2, 8, 50000, 512);
    wg_module *m = wg_transformer_new(&c);
    static int64_t ids[1400];
    for (int i = 0; i < 1400; i++) ids[i] = i * 37 % 50000;
    const int64_t before = wg_memory_stats(wg_cpu()).current;
    wg_memory_reset_peak(wg_cpu());
    wg_perplexity_result r;
    ck_assert_int_eq(wg_perplexity(m, ids, 1400, &r), WG_OK);
    const int64_t used = wg_memory_stats(wg_cpu()).peak - before;
    ck_assert_msg(used < 64 << 20, "%lld bytes", (long long)used); /* whole: 400 MB */
    ck_assert_double_eq_tol(r.nll, log(50000), 0.5);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(endings_are_scored_as_one_by_one)
{
    const wg_scope s = begin();
    int64_t ids[4][40];
    static const int lengths[4][2] = { { 12, 5 }, { 7, 6 }, { 17, 1 }, { 35, 25 } };
    wg_choice c[4];
    for (int i = 0; i < 4; i++) {
        text(ids[i], 40);
        for (int t = lengths[i][1]; t < 40; t++) ids[i][t] = (ids[i][t] + i) % V;
        c[i] = (wg_choice) { ids[i], lengths[i][0], lengths[i][1], 10 + i };
    }
    c[1].bytes = 0;
    wg_module *m = model(false);
    wg_choice_score got[4];
    ck_assert_int_eq(wg_score_choices(m, c, 4, got), WG_OK);
    for (int i = 0; i < 4; i++) {
        double want = 0;
        const int64_t cut = c[i].n - 1 > BLOCK ? c[i].n - 1 - BLOCK : 0;
        for (int64_t t = c[i].of_context; t < c[i].n; t++)
            want -= surprise(m, ids[i] + cut, t - cut, ids[i][t]);
        const double ending = (double)(c[i].n - c[i].of_context);
        ck_assert_double_eq_tol(got[i].log_prob, want, 1e-11);
        ck_assert_double_eq_tol(got[i].per_token, want / ending, 1e-11);
        if (i == 1)
            ck_assert(isnan(got[i].per_byte));
        else
            ck_assert_double_eq_tol(got[i].per_byte, want / (10 + i), 1e-11);
    }
    wg_module_free(m);
    pop(s);
}
END_TEST

static bool stop_early(void *self, const wg_perplexity_result *so_far, int64_t all)
{
    ck_assert_int_eq(all, N - 1);
    *(int64_t *)self = so_far->tokens;
    return so_far->tokens < 30;
}

START_TEST(modes_come_back_and_progress_can_stop)
{
    const wg_scope s = begin();
    int64_t ids[N], seen = 0;
    text(ids, N);
    wg_module *m = model(true);
    wg_module_at(m, "transformer.h.1")->training = false;
    wg_perplexity_result r, want;
    ck_assert_int_eq(wg_perplexity(m, ids, N, &r, .window = 8, .stride = 4, .batch = 2,
                                   .progress = stop_early, .self = &seen),
                     WG_OK);
    ck_assert_int_eq(seen, 32);
    ck_assert_int_eq(r.tokens, 32);
    ck_assert_int_eq(wg_perplexity(m, ids, 33, &want, .window = 8, .stride = 4), WG_OK);
    ck_assert_double_eq_tol(r.nll, want.nll, 1e-12);
    ck_assert(m->training && wg_module_at(m, "transformer.h.0")->training &&
              !wg_module_at(m, "transformer.h.1")->training);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(what_cannot_be_scored_is_an_error)
{
    const wg_scope s = begin();
    int64_t ids[N];
    text(ids, N);
    wg_module *m = model(false);
    wg_perplexity_result r;
    wg_choice_score score[2];
#define BAD(call, code, message)                                                                   \
    ck_assert_int_eq(call, code);                                                                  \
    fails(code, message)
    BAD(wg_perplexity(NULL, ids, N, &r), WG_EARG, "is NULL");
    BAD(wg_perplexity(m, ids, 1, &r), WG_EARG, "1 ids; the first one is never scored");
    BAD(wg_perplexity(m, ids, N, &r, .window = 17), WG_EARG, "17 is beyond the model's block");
    BAD(wg_perplexity(m, ids, N, &r, .window = 8, .stride = 9), WG_EARG, "a stride of 9");
    BAD(wg_perplexity(m, ids, N, &r, .stride = -1), WG_EARG, "a stride of -1");
    BAD(wg_perplexity(m, ids, N, &r, .batch = -1), WG_EARG, "a batch of -1");
    ids[20] = V;
    BAD(wg_perplexity(m, ids, N, &r), WG_EINDEX, "23");
    ids[20] = 0;
    ids[N - 1] = V; /* a target only */
    BAD(wg_perplexity(m, ids, N, &r), WG_EINDEX, "23");
    BAD(wg_score_choices(m, &(wg_choice) { ids, 5, 5, 1 }, 1, score), WG_EARG, "0 of ending");
    BAD(wg_score_choices(m, &(wg_choice) { ids, 5, 0, 1 }, 1, score), WG_EARG, "0 ids of context");
    BAD(wg_score_choices(m, &(wg_choice) { ids, 30, 3, 1 }, 1, score), WG_EARG,
        "ending 0 has 27 ids, the block is 16");
    BAD(wg_score_choices(m, &(wg_choice) { ids, N, N - 3, 1 }, 1, score), WG_EINDEX, "23");
    BAD(wg_score_choices(m, NULL, 1, score), WG_EARG, "NULL");
    ck_assert(m->training);
    wg_module_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    wg_use_threads(1); /* thousands of tiny products */
    return suite_run("evaluate", (const TTest *[]) {
                                     every_token_is_scored_once_with_its_windows_context,
                                     short_texts_and_defaults,
                                     any_module_with_logits_will_do,
                                     large_vocabularies_are_projected_in_chunks,
                                     endings_are_scored_as_one_by_one,
                                     modes_come_back_and_progress_can_stop,
                                     what_cannot_be_scored_is_an_error,
                                     NULL,
                                 });
}
