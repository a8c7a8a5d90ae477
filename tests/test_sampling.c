/* Samplers against the plain definition of each step, and chat prompts against the models' own forms. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

enum { V = 40, DRAWS = 20000 };

static int64_t draw_one(wg_sampling how, const float *logits)
{
    wg_sampler *s = wg_sampler_new(how, V);
    const int64_t id = wg_sampler_next(s, logits, NULL, 0);
    wg_sampler_free(s);
    return id;
}

/* p (V): what is left by the definitions, each in its own pass over all tokens. */
static void plain(wg_sampling how, const float *logits, double *p)
{
    int order[V];
    double total = 0, reached = 0, best = 0;
    for (int i = 0; i < V; i++) total += p[i] = exp(logits[i] / how.temperature);
    for (int i = 0; i < V; i++) {
        int rank = 0;
        for (int j = 0; j < V; j++) rank += p[j] > p[i] || (p[j] == p[i] && j < i);
        order[rank] = i;
    }
    for (int r = 0; r < V; r++)
        if (how.top_k && r >= how.top_k) p[order[r]] = 0;
    total = 0;
    for (int i = 0; i < V; i++) total += p[i];
    for (int r = 0; r < V; r++) {
        if (how.top_p && reached >= how.top_p * total) p[order[r]] = 0;
        reached += p[order[r]];
    }
    for (int i = 0; i < V; i++) best = fmax(best, p[i]);
    for (int i = 0; i < V; i++)
        if (p[i] < how.min_p * best) p[i] = 0;
    total = 0;
    for (int i = 0; i < V; i++) total += p[i];
    for (int i = 0; i < V; i++) p[i] /= total;
}

static void some_logits(float *logits)
{
    for (int i = 0; i < V; i++) logits[i] = (float)(3 * sin(7.0 * i) - (i % 5 == 0 ? 1 : 0));
    logits[8] = logits[31]; /* a tie */
}

START_TEST(frequencies_are_those_of_the_definitions)
{
    const wg_sampling ways[] = {
        { .temperature = 1 },
        { .temperature = 0.5, .top_k = 6 },
        { .temperature = 1.5, .top_p = 0.7 },
        { .temperature = 2, .min_p = 0.2 },
        { .temperature = 1.2, .top_k = 12, .top_p = 0.9, .min_p = 0.1, .seed = 3 },
        { .temperature = 1, .top_k = 1 },
        { .temperature = 1, .top_p = 1e-9 },
    };
    float logits[V];
    some_logits(logits);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        double p[V], chi = 0;
        int count[V] = { 0 }, freedom = -1;
        plain(ways[w], logits, p);
        wg_sampler *s = wg_sampler_new(ways[w], V);
        for (int d = 0; d < DRAWS; d++) count[wg_sampler_next(s, logits, NULL, 0)]++;
        wg_sampler_free(s);
        for (int i = 0; i < V; i++) {
            if (p[i] == 0) {
                ck_assert_msg(count[i] == 0, "way %zu drew token %d, which is cut", w, i);
                continue;
            }
            freedom++;
            chi += (count[i] - DRAWS * p[i]) * (count[i] - DRAWS * p[i]) / (DRAWS * p[i]);
        }
        const double limit = freedom + 5 * sqrt(2.0 * freedom); /* five standard deviations */
        ck_assert_msg(chi <= limit, "way %zu: chi-square %g, %d degrees of freedom", w, chi,
                      freedom);
    }
}
END_TEST

START_TEST(greedy_takes_the_first_of_the_largest)
{
    float logits[V] = { 0 };
    ck_assert_int_eq(draw_one((wg_sampling) { 0 }, logits), 0);
    logits[7] = logits[9] = 2;
    logits[3] = -INFINITY;
    ck_assert_int_eq(draw_one((wg_sampling) { .top_k = 3, .top_p = 0.5 }, logits), 7);
    ck_assert_int_eq(draw_one((wg_sampling) { .temperature = 1, .top_k = 1 }, logits), 7);
}
END_TEST

START_TEST(the_penalty_divides_positive_and_multiplies_negative_logits_once)
{
    float logits[V];
    for (int i = 0; i < V; i++) logits[i] = -9;
    logits[1] = 4;
    logits[2] = 2.1f;
    logits[5] = -1;
    const int64_t before[] = { 5, 1, 1, 1 };
    wg_sampler *s = wg_sampler_new((wg_sampling) { .repetition_penalty = 1.9 }, V);
    ck_assert_int_eq(wg_sampler_next(s, logits, before, 4), 1); /* 4 / 1.9 > 2.1 */
    ck_assert_int_eq(wg_sampler_next(s, logits, before, 0), 1);
    wg_sampler_free(s);
    s = wg_sampler_new((wg_sampling) { .repetition_penalty = 2 }, V);
    ck_assert_int_eq(wg_sampler_next(s, logits, before, 4), 2); /* 4 / 2 < 2.1 */
    logits[2] = -1.5f;
    logits[1] = -9;
    ck_assert_int_eq(wg_sampler_next(s, logits, before, 4), 2); /* -1 * 2 < -1.5 */
    wg_sampler_free(s);
    s = wg_sampler_new((wg_sampling) { .repetition_penalty = 2, .penalty_last = 3 }, V);
    ck_assert_int_eq(wg_sampler_next(s, logits, before, 4), 5); /* looks back over the 1s alone */
    wg_sampler_free(s);
}
END_TEST

START_TEST(a_seed_is_a_text)
{
    float logits[V];
    some_logits(logits);
    int64_t a[50], b[50], c[50];
    const wg_sampling how = { .temperature = 1, .seed = 11 };
    wg_sampling other = how;
    other.seed = 12;
    wg_sampler *x = wg_sampler_new(how, V), *y = wg_sampler_new(how, V),
               *z = wg_sampler_new(other, V);
    for (int i = 0; i < 50; i++) a[i] = wg_sampler_next(x, logits, NULL, 0);
    wg_seed(5);
    for (int i = 0; i < 50; i++) b[i] = wg_sampler_next(y, logits, NULL, 0);
    for (int i = 0; i < 50; i++) c[i] = wg_sampler_next(z, logits, NULL, 0);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert(memcmp(a, c, sizeof a) != 0);
    wg_sampler_free(x);
    wg_sampler_free(y);
    wg_sampler_free(z);
}
END_TEST

START_TEST(logits_that_are_none_are_an_error)
{
    float logits[V];
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < V; i++) logits[i] = k == 2 ? -INFINITY : 0;
        if (k < 2) logits[17] = k ? INFINITY : NAN;
        for (int warm = 0; warm < 2; warm++) {
            ck_assert_int_eq(draw_one((wg_sampling) { .temperature = warm }, logits), -1);
            expect_error(WG_ENUMERIC, "sampler: a logit is NaN or infinite, or all are -inf");
        }
    }
    const wg_sampling wrong[] = { { .temperature = -1 },
                                  { .temperature = NAN },
                                  { .top_k = -1 },
                                  { .top_p = 1.1 },
                                  { .min_p = -0.1 },
                                  { .penalty_last = -1 },
                                  { .repetition_penalty = -2 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_ptr_null(wg_sampler_new(wrong[i], V));
        expect_error(WG_EARG, "sampler: temperature");
    }
    ck_assert_ptr_null(wg_sampler_new((wg_sampling) { 0 }, 0));
    expect_error(WG_EARG, "sampler: ");
}
END_TEST

/* ---- chats ----------------------------------------------------------------------------------- */

static void expect_chat(const char *chat_template, const wg_message *m, int64_t n, const char *want)
{
    char *got = wg_chat_prompt(chat_template, m, n);
    expect_no_error();
    ck_assert_str_eq(got, want);
    free(got);
}

/* What Hugging Face's apply_chat_template gives for published models. */
START_TEST(chats_are_written_as_the_templates_say)
{
    const wg_message m[] = {
        { "system", "Be brief." }, { "user", "Hi!" }, { "assistant", "Hello." }, { "user", "Why?" }
    };
    expect_chat(
        "{% for m in messages %}<|im_start|>{{ m.role }}", m, 4,
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n"
        "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n");
    expect_chat(
        "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful "
        "assistant.<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role']",
        m + 1, 1,
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n"
        "<|im_start|>assistant\n");
    expect_chat(
        "<|start_header_id|> {{ role }}<|end_header_id|> <|eot_id|>", m, 2,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi!<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
    expect_chat(
        "[INST] <<SYS>> ", m, 4,
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi! [/INST] Hello. </s><s>[INST] Why? [/INST]");
    expect_chat("{{ '[INST] ' }}", m + 1, 3, "<s>[INST] Hi! [/INST] Hello.</s>[INST] Why? [/INST]");
    expect_chat("<|user|> <|assistant|> <|end|>", m, 2,
                "<|system|>\nBe brief.<|end|>\n<|user|>\nHi!<|end|>\n<|assistant|>\n");
    expect_chat("<|user|> <|assistant|>", m, 2,
                "<|system|>\nBe brief.</s>\n<|user|>\nHi!</s>\n<|assistant|>\n");
    expect_chat("<start_of_turn>", m, 2,
                "<bos><start_of_turn>user\nBe brief.\n\nHi!<end_of_turn>\n<start_of_turn>model\n");
}
END_TEST

START_TEST(chats_that_cannot_be_written_say_why)
{
    const wg_message m[] = { { "user", "Hi!" }, { "tool", "42" }, { "system", "Be brief." } };
    ck_assert_ptr_null(wg_chat_prompt("{{ messages }}", m, 1));
    expect_error(WG_ENOTFOUND, "chat_prompt: the template is none of those that are known");
    ck_assert_ptr_null(wg_chat_prompt("<|im_start|>", m, 2));
    expect_error(WG_EARG, "chat_prompt: message 1 has the role \"tool\"");
    ck_assert_ptr_null(wg_chat_prompt("<start_of_turn>", m + 2, 1));
    expect_error(WG_EARG,
                 "chat_prompt: message 0 has the role \"system\", which Gemma's form lacks there");
    ck_assert_ptr_null(wg_chat_prompt(NULL, m, 1));
    expect_error(WG_EARG, "chat_prompt: no template");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        frequencies_are_those_of_the_definitions,
        greedy_takes_the_first_of_the_largest,
        the_penalty_divides_positive_and_multiplies_negative_logits_once,
        a_seed_is_a_text,
        logits_that_are_none_are_an_error,
        chats_are_written_as_the_templates_say,
        chats_that_cannot_be_written_say_why,
        NULL,
    };
    return suite_run("sampling", tests);
}
