/* How patterns cut texts into words, before anything merges. */
#include "text/words.h"

#include "tokenizer_check.h"

/* ---- words ----------------------------------------------------------------------------------- */
/* What Hugging Face's Split gives for the three patterns, '|' between words. */
static const struct {
    const char *text, *words[3];
} cuts[] = {
    { "I've got 12345 apples,  don'T worry",
      { "I|'ve| got| 12345| apples|,| | don|'|T| worry",
        "I|'ve| got| |123|45| apples|,| | don|'T| worry",
        "I|'ve| got| |1|2|3|4|5| apples|,| | don|'T| worry" } },
    { "a\n\n  b \t\n", { "a|\n\n | b| \t\n", "a|\n\n| | b| \t\n", "a|\n\n| | b| \t\n" } },
    { "  x   ", { " | x|   ", " | x|   ", " | x|   " } },
    { "\303\251t\303\251 \302\275 \331\243\331\244 \346\274\242\345\255\227\357\274\201\343\200\200z",
      { "\303\251t\303\251| \302\275| \331\243\331\244| \346\274\242\345\255\227|"
        "\357\274\201|\343\200\200|z",
        "\303\251t\303\251| |\302\275| |\331\243\331\244| \346\274\242\345\255\227|"
        "\357\274\201|\343\200\200z",
        "\303\251t\303\251| |\302\275| |\331\243|\331\244| \346\274\242\345\255\227|"
        "\357\274\201|\343\200\200z" } },
    { "'SOS \341\240\216\302\205\302\240k", /* U+180E is no space */
      { "'|SOS| \341\240\216|\302\205|\302\240|k", "'S|OS| \341\240\216|\302\205|\302\240k",
        "'S|OS| \341\240\216|\302\205|\302\240k" } },
    { "\305\277'\305\277 it'\305\277\r\n!!\n\n", /* U+017F is an s without case */
      { "\305\277|'|\305\277| it|'|\305\277|\r|\n|!!|\n\n",
        "\305\277|'\305\277| it|'\305\277|\r\n|!!\n\n",
        "\305\277|'\305\277| it|'\305\277|\r\n|!!\n\n" } },
    { "ab\xFF\xFE c\xE2\x82z\xE2", /* bytes that are no UTF-8: words of their own */
      { "ab|\xFF\xFE| c|\xE2\x82|z|\xE2", "ab|\xFF\xFE| c|\xE2\x82|z|\xE2",
        "ab|\xFF\xFE| c|\xE2\x82|z|\xE2" } },
};

static wg_status note_word(void *self, const char *word, size_t n)
{
    char *said = self;
    if (*said) strcat(said, "|");
    strncat(said, word, n);
    return WG_OK;
}

START_TEST(patterns_cut_words_with_the_jit_and_without)
{
    static const char *const names[] = { "gpt-2", "llama-bpe", "qwen2" };
    for (int k = 0; k < 6; k++) {
        wgi_words w = { 0 };
        wgi_cutter c;
        bool whole;
        ck_assert_int_eq(wgi_words_named(&w, names[k / 2], &whole, "test"), WG_OK);
        ck_assert(whole == (k / 2 == 1));
        ck_assert_int_eq(wgi_cutter_make(&c, &w), WG_OK);
        if (k % 2) c.jit = false;
        for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
            char said[256] = "";
            wgi_words_each(&w, &c, cuts[i].text, strlen(cuts[i].text), note_word, said);
            ck_assert_msg(strcmp(said, cuts[i].words[k / 2]) == 0, "%s: got %s, want %s",
                          names[k / 2], said, cuts[i].words[k / 2]);
        }
        wgi_cutter_free(&c);
        wgi_words_free(&w);
    }
    expect_no_error();
}
END_TEST

static wg_status count_word(void *self, const char *word, size_t n)
{
    (void)word;
    int64_t *counts = self;
    counts[0]++;
    counts[1] += (int64_t)n;
    return WG_OK;
}

START_TEST(long_runs_reach_no_limit_of_the_patterns)
{
    enum { N = 3 << 20 };
    static const char *const names[] = { "gpt-2", "llama-bpe", "qwen2" };
    static const char runs[] = { 'a', ' ', '\n', '1', '!', '\'', '\xFF' };
    char *text = malloc(N);
    for (int k = 0; k < 6; k++) {
        wgi_words w = { 0 };
        wgi_cutter c;
        bool whole;
        wgi_words_named(&w, names[k / 2], &whole, "test");
        ck_assert_int_eq(wgi_cutter_make(&c, &w), WG_OK);
        if (k % 2) c.jit = false;
        for (size_t i = 0; i < sizeof runs; i++) {
            int64_t counts[2] = { 0, 0 };
            memset(text, runs[i], N);
            text[N - 1] = 'z'; /* the run of spaces ends before its end */
            ck_assert_int_eq(wgi_words_each(&w, &c, text, N, count_word, counts), WG_OK);
            ck_assert_int_eq(counts[1], N);
            if (runs[i] != '1') ck_assert_int_le(counts[0], 3);
        }
        wgi_cutter_free(&c);
        wgi_words_free(&w);
    }
    free(text);
    expect_no_error();
}
END_TEST

START_TEST(long_backtracking_reaches_no_limit_of_the_patterns)
{
    enum { N = 11 << 20 }; /* above PCRE2's limit of 10 million steps */
    wgi_words w = { 0 };
    wgi_cutter c;
    bool whole;
    char *text = malloc(N);
    memset(text, ' ', N);
    wgi_words_named(&w, "llama-bpe", &whole, "test");
    ck_assert_int_eq(wgi_cutter_make(&c, &w), WG_OK);
    const bool compiled = c.jit;
    for (int jit = 0; jit < 2; jit++) {
        int64_t counts[2] = { 0, 0 };
        c.jit = jit && compiled;
        ck_assert_int_eq(wgi_words_each(&w, &c, text, N, count_word, counts), WG_OK);
        ck_assert_int_eq(counts[0], 1);
    }
    expect_no_error();
    wgi_cutter_free(&c);
    wgi_words_free(&w);
    free(text);
}
END_TEST

START_TEST(a_pattern_that_backtracks_without_end_is_an_error)
{
    wgi_words w = { 0 };
    wgi_cutter c;
    char text[64], said[128] = "";
    memset(text, 'a', sizeof text);
    ck_assert_int_eq(wgi_words_add(&w, WGI_CUT_ISOLATED, "(?:a|aa)+[bc]", false, "test"), WG_OK);
    ck_assert_int_eq(wgi_cutter_make(&c, &w), WG_OK);
    ck_assert_int_eq(wgi_words_each(&w, &c, text, sizeof text, note_word, said), WG_EARG);
    expect_error(WG_EARG, "tokenizer_encode: the pattern \"(?:a|aa)+[bc]\" failed: match limit");
    wgi_cutter_free(&c);
    wgi_words_free(&w);
}
END_TEST

int main(void)
{
    return suite_run("tokenizer_words",
                     (const TTest *[]) { patterns_cut_words_with_the_jit_and_without,
                                         long_runs_reach_no_limit_of_the_patterns,
                                         long_backtracking_reaches_no_limit_of_the_patterns,
                                         a_pattern_that_backtracks_without_end_is_an_error, NULL });
}
