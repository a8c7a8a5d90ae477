/* Generation: samplers, caches, batches, speculation, beams, chats. The reference is always the whole
 * forward pass without a cache. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

enum { VOCAB = 23 };

/* A model whose greedy text is no constant: untied, weights larger than a fresh model's. */
static wg_module *some_model(int64_t layers, uint64_t seed)
{
    wg_seed(seed);
    wg_transformer_config c = wg_llama_config(layers, 4, 2, 32, 48, VOCAB, 64);
    wg_module *m = wg_transformer_new(&c);
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++)
        if (wg_ndim(p.p[i].tensor) == 2)
            ck_assert(wg_assign(p.p[i].tensor,
                                wg_affine(wg_randn(wg_shape(p.p[i].tensor)), 0.3, 0)) == WG_OK);
    pop(s);
    return m;
}

/* The logits (V) after ids, without a cache. */
static const float *logits_after(wg_module *m, const int64_t *ids, int64_t n)
{
    wg_tensor *x = wg_from(ids, (size_t)n * sizeof *ids, WG_I64, WG_DIMS(1, n));
    return wg_data(wg_contiguous(wg_select(wg_forward(m, x), 1, -1)));
}

static int64_t argmax(const float *x)
{
    int64_t best = 0;
    for (int64_t i = 1; i < VOCAB; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static void greedy(wg_module *m, int64_t *ids, int64_t n, int64_t more)
{
    for (const int64_t end = n + more; n < end; n++) {
        const wg_scope s = wg_scope_push();
        wg_use_grad(false);
        ids[n] = argmax(logits_after(m, ids, n));
        pop(s);
    }
}

START_TEST(greedy_text_is_that_of_whole_passes)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(2, 1);
    int64_t want[40] = { 3, 1, 4 }, *got = NULL;
    greedy(m, want, 3, 37);
    for (int64_t chunk = 1; chunk <= 3; chunk++) {
        wg_generation *g = wg_generation_new(m, .chunk = chunk);
        ck_assert_int_eq(wg_generate(g, { want, 3 }, &got, .max_tokens = 37), 37);
        ck_assert_mem_eq(got, want + 3, 37 * sizeof *got);
        ck_assert(m->training);
        free(got);
        wg_generation_free(g);
    }
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_prompt_that_was_read_is_not_read_again)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(2, 2);
    int64_t text[50] = { 3, 1, 4, 1, 5 }, *got = NULL;
    greedy(m, text, 5, 20);
    wg_generation *g = wg_generation_new(m);
    ck_assert_int_eq(wg_generate(g, { text, 5 }, &got, .max_tokens = 10), 10);
    free(got);
    ck_assert_int_eq(wg_generation_count(g).read, 5);
    ck_assert_int_eq(wg_generation_count(g).reused, 0);
    ck_assert_int_eq(wg_generate(g, { text, 15 }, &got, .max_tokens = 10), 10);
    ck_assert_mem_eq(got, text + 15, 10 * sizeof *got);
    free(got);
    ck_assert_int_eq(wg_generation_count(g).reused, 14);
    ck_assert_int_eq(wg_generation_count(g).read, 6);
    int64_t other[8] = { 3, 1, 4, 2, 2, 7, 7, 7 }, want[20];
    memcpy(want, other, sizeof other);
    greedy(m, want, 8, 6);
    ck_assert_int_eq(wg_generate(g, { other, 8 }, &got, .max_tokens = 6), 6);
    ck_assert_mem_eq(got, want + 8, 6 * sizeof *got);
    free(got);
    ck_assert_int_eq(wg_generation_count(g).reused, 17);
    wg_generation_free(g);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(rows_of_a_batch_are_what_they_are_alone)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(3, 3);
    int64_t a[30] = { 3, 1, 4, 1, 5, 9, 2, 6 }, b[30] = { 7 }, c[30] = { 2, 7, 1, 8 };
    greedy(m, a, 8, 12);
    greedy(m, b, 1, 12);
    greedy(m, c, 4, 12);
    const wg_ids prompts[] = { { a, 8 }, { b, 1 }, { c, 4 } };
    const int64_t *want[] = { a + 8, b + 1, c + 4 };
    for (int64_t chunk = 3; chunk <= 12; chunk += 9) {
        int64_t *ids[3], counts[3];
        wg_generation *g = wg_generation_new(m, .chunk = chunk);
        ck_assert(wg_generate_batch(g, prompts, 3, ids, counts, .max_tokens = 12) == WG_OK);
        for (int r = 0; r < 3; r++) {
            ck_assert_int_eq(counts[r], 12);
            ck_assert_mem_eq(ids[r], want[r], 12 * sizeof *ids[r]);
            free(ids[r]);
        }
        wg_generation_free(g);
    }
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_row_that_ends_leaves_the_others_alone)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(2, 4);
    int64_t a[40] = { 3, 1, 4 }, b[40] = { 7, 5 };
    greedy(m, a, 3, 20);
    greedy(m, b, 2, 20);
    const wg_ids prompts[] = { { a, 3 }, { b, 2 } };
    int64_t at_a = 3, at_b = 2, stop = a[8];
    while (a[at_a] != stop) at_a++;
    while (at_b < 22 && b[at_b] != stop) at_b++;
    int64_t *ids[2], counts[2];
    wg_generation *g = wg_generation_new(m);
    ck_assert(wg_generate_batch(g, prompts, 2, ids, counts, .max_tokens = 20,
                                .stop = { &stop, 1 }) == WG_OK);
    ck_assert_int_eq(counts[0], at_a - 3);
    ck_assert_int_eq(counts[1], at_b - 2);
    ck_assert_mem_eq(ids[0], a + 3, (size_t)counts[0] * sizeof **ids);
    ck_assert_mem_eq(ids[1], b + 2, (size_t)counts[1] * sizeof **ids);
    free(ids[0]);
    free(ids[1]);
    int64_t *one = NULL;
    ck_assert_int_eq(wg_generate(g, { a, 3 }, &one, .stop = { &stop, 1 }), at_a - 3);
    free(one);
    wg_generation_free(g);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_batch_draws_row_by_row_from_streams_of_its_seed)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(2, 5);
    int64_t prompt[] = { 3, 1, 4 };
    const wg_ids same[] = { { prompt, 3 }, { prompt, 3 } };
    const wg_sampling how = { .temperature = 1.5, .seed = 9 };
    int64_t *ids[2], counts[2], *one = NULL;
    wg_generation *g = wg_generation_new(m);
    ck_assert(wg_generate_batch(g, same, 2, ids, counts, .max_tokens = 16, .sampling = how) ==
              WG_OK);
    ck_assert(memcmp(ids[0], ids[1], 16 * sizeof **ids) != 0);
    wg_seed(77); /* the thread's own generator plays no part */
    ck_assert_int_eq(wg_generate(g, { prompt, 3 }, &one, .max_tokens = 16, .sampling = how), 16);
    ck_assert_mem_eq(one, ids[0], 16 * sizeof *one);
    ck_assert_uint_eq(wg_generator_get().offset, 0);
    free(one);
    free(ids[0]);
    free(ids[1]);
    wg_generation_free(g);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* ---- speculation ----------------------------------------------------------------------------- */

START_TEST(speculation_leaves_greedy_text_as_it_is)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(2, 6), *other = some_model(1, 7), *same = some_model(2, 6);
    int64_t want[60] = { 3, 1, 4, 1, 5 }, *got = NULL;
    greedy(m, want, 5, 50);
    for (int64_t drafted = 1; drafted <= 7; drafted += 2)
        for (int k = 0; k < 2; k++) {
            wg_generation *g =
                wg_generation_new(m, .draft = k ? same : other, .drafted = drafted, .chunk = 2);
            ck_assert_int_eq(wg_generate(g, { want, 5 }, &got, .max_tokens = 50), 50);
            ck_assert_mem_eq(got, want + 5, 50 * sizeof *got);
            free(got);
            const wg_generation_counts n = wg_generation_count(g);
            ck_assert_int_eq(n.generated, 50);
            ck_assert_int_gt(n.drafted, 0);
            if (k) ck_assert_int_eq(n.accepted, n.drafted); /* a twin is never refused */
            wg_generation_free(g);
        }
    wg_module_free(m);
    wg_module_free(other);
    wg_module_free(same);
    pop(s);
}
END_TEST

/* The second token after a prompt, many times: with and without a draft model the same frequencies,
 * those of the exact distribution. */
START_TEST(speculation_keeps_the_distribution)
{
    enum { DRAWS = 3000 };
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_module *m = some_model(1, 8), *draft = some_model(1, 9);
    int64_t text[4] = { 3, 1 };
    double p[VOCAB] = { 0 }, first[VOCAB], total = 0;
    const float *l = logits_after(m, text, 2);
    for (int i = 0; i < VOCAB; i++) total += first[i] = exp(l[i] / 2);
    for (int i = 0; i < VOCAB; i++) {
        double sum = 0, e[VOCAB];
        text[2] = i;
        l = logits_after(m, text, 3);
        for (int j = 0; j < VOCAB; j++) sum += e[j] = exp(l[j] / 2);
        for (int j = 0; j < VOCAB; j++) p[j] += first[i] / total * e[j] / sum;
    }
    for (int k = 0; k < 2; k++) {
        wg_generation *g = wg_generation_new(m, .draft = k ? draft : NULL, .drafted = 2);
        double count[VOCAB] = { 0 }, chi = 0;
        for (uint64_t seed = 0; seed < DRAWS; seed++) {
            int64_t *got = NULL;
            ck_assert_int_eq(wg_generate(g, { text, 2 }, &got, .max_tokens = 3,
                                         .sampling = { .temperature = 2, .seed = seed }),
                             3);
            count[got[1]]++;
            free(got);
        }
        for (int i = 0; i < VOCAB; i++)
            chi += (count[i] - DRAWS * p[i]) * (count[i] - DRAWS * p[i]) / (DRAWS * p[i]);
        ck_assert_msg(chi < 60, "chi-square %g with 22 degrees of freedom", chi); /* P < 1e-4.5 */
        wg_generation_free(g);
    }
    wg_module_free(m);
    wg_module_free(draft);
    pop(s);
}
END_TEST

/* ---- beams ----------------------------------------------------------------------------------- */

static double log_p(wg_module *m, const int64_t *ids, int64_t n, int64_t id)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const float *l = logits_after(m, ids, n);
    double total = 0;
    for (int i = 0; i < VOCAB; i++) total += exp((double)l[i]);
    const double p = l[id] - log(total);
    pop(s);
    return p;
}

START_TEST(one_beam_is_greedy)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(2, 10);
    int64_t want[30] = { 3, 1, 4 }, *ids[1], counts[1];
    double scores[1], sum = 0;
    greedy(m, want, 3, 12);
    for (int64_t i = 3; i < 15; i++) sum += log_p(m, want, i, want[i]);
    wg_generation *g = wg_generation_new(m);
    ck_assert(wg_beam_search(g, { want, 3 }, ids, counts, scores, .beams = 1, .max_tokens = 12) ==
              WG_OK);
    ck_assert_int_eq(counts[0], 12);
    ck_assert_mem_eq(ids[0], want + 3, 12 * sizeof **ids);
    ck_assert_double_eq_tol(scores[0], sum / 12, 1e-4);
    free(ids[0]);
    wg_generation_free(g);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* With as many beams as tokens, two steps are searched whole. */
START_TEST(wide_beams_find_the_best)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(1, 11);
    int64_t text[3] = { 3 }, best[2] = { 0 }, *ids[VOCAB], counts[VOCAB], stop = 5;
    double most = -INFINITY, scores[VOCAB];
    for (int64_t i = 0; i < VOCAB; i++) {
        const double a = log_p(m, text, 1, i);
        if (i == stop) continue;
        text[1] = i;
        for (int64_t j = 0; j < VOCAB; j++) {
            const double b = a + log_p(m, text, 2, j);
            if (j == stop || b <= most) continue;
            most = b;
            best[0] = i;
            best[1] = j;
        }
    }
    wg_generation *g = wg_generation_new(m);
    ck_assert(wg_beam_search(g, { text, 1 }, ids, counts, scores, .beams = VOCAB, .max_tokens = 2,
                             .no_length_penalty = true, .stop = { &stop, 1 }) == WG_OK);
    int first = 0;
    while (counts[first] < 2) first++; /* hypotheses that ended may stand before */
    ck_assert_int_eq(ids[first][0], best[0]);
    ck_assert_int_eq(ids[first][1], best[1]);
    ck_assert_double_eq_tol(scores[first], most, 1e-4);
    for (int i = 0; i < VOCAB; i++) {
        if (i) ck_assert_double_ge(scores[i - 1], scores[i]);
        if (counts[i] == 0) /* ended at once */
            ck_assert_double_eq_tol(scores[i], log_p(m, text, 1, stop), 1e-4);
        free(ids[i]);
    }
    wg_generation_free(g);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------- */

START_TEST(what_cannot_be_generated_says_why)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(1, 12), *linear = wg_linear_new(3, 3);
    int64_t prompt[65] = { 1, 2, 3 }, *got = prompt, *ids[2], counts[2];
    wg_generation *g = wg_generation_new(m);
    ck_assert_int_eq(wg_generate(g, { prompt, 0 }, &got), -1);
    ck_assert_ptr_null(got);
    expect_error(WG_EARG, "generate: the prompt is empty");
    ck_assert_int_eq(wg_generate(g, { prompt, 65 }, &got), -1);
    expect_error(WG_EARG, "generate: a prompt of 65 tokens for a context of 64");
    prompt[1] = VOCAB;
    ck_assert_int_eq(wg_generate(g, { prompt, 3 }, &got), -1);
    expect_error(WG_EINDEX, "generate: token 1 is 23, out of range for a vocabulary of 23");
    prompt[1] = 2;
    ck_assert_int_eq(wg_generate(g, { prompt, 3 }, &got), -1);
    expect_error(WG_EARG, "generate: the context of 64 tokens is full");
    ck_assert_int_eq(wg_generation_count(g).generated, 62);
    ck_assert_int_eq(wg_generate(g, { prompt, 3 }, &got, .max_tokens = 62), 62);
    free(got);
    ck_assert_int_eq(wg_generate(g, { prompt, 3 }, &got, .sampling = { .top_p = 2 }), -1);
    expect_error(WG_EARG, "sampler: ");
    ck_assert_int_eq(wg_generate(NULL, { prompt, 3 }, &got), -1);
    expect_error(WG_EARG, "generate: no generation");
    const wg_ids prompts[] = { { prompt, 3 }, { prompt, 0 } };
    ck_assert(wg_generate_batch(g, prompts, 2, ids, counts) == WG_EARG);
    expect_error(WG_EARG, "generate_batch: the prompt is empty");
    ck_assert(wg_generate_batch(g, prompts, 1, ids, counts) == WG_EARG);
    ck_assert_ptr_null(ids[0]);
    expect_error(WG_EARG, "generate_batch: the context of 64 tokens is full");
    ck_assert(wg_beam_search(g, { prompt, 3 }, ids, counts, NULL, .beams = 2, .max_tokens = 63) ==
              WG_EARG);
    expect_error(WG_EARG, "beam_search: beams 2, max_tokens 63");
    wg_generation_free(g);
    ck_assert_ptr_null(wg_generation_new(linear));
    expect_error(WG_EARG, "transformer_config_of: this is no transformer");
    ck_assert_ptr_null(wg_generation_new(m, .context = 65));
    expect_error(WG_EARG, "generation: context 65 (the model's block is 64)");
    wg_module_free(m);
    wg_module_free(linear);
    pop(s);
}
END_TEST

static bool take_three(void *self, int64_t row, int64_t id)
{
    (void)row, (void)id;
    return ++*(int *)self < 3;
}

START_TEST(the_caller_can_end_it)
{
    const wg_scope s = wg_scope_push();
    wg_module *m = some_model(1, 13);
    wg_generation *g = wg_generation_new(m);
    int seen = 0;
    ck_assert_int_eq(
        wg_generate(g, { (int64_t[]) { 1 }, 1 }, NULL, .on_token = take_three, .self = &seen), 3);
    wg_generation_free(g);
    wg_module_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        greedy_text_is_that_of_whole_passes,
        a_prompt_that_was_read_is_not_read_again,
        rows_of_a_batch_are_what_they_are_alone,
        a_row_that_ends_leaves_the_others_alone,
        a_batch_draws_row_by_row_from_streams_of_its_seed,
        speculation_leaves_greedy_text_as_it_is,
        speculation_keeps_the_distribution,
        one_beam_is_greedy,
        wide_beams_find_the_best,
        what_cannot_be_generated_says_why,
        the_caller_can_end_it,
        NULL,
    };
    return suite_run("generation", tests);
}
