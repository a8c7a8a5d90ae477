/* Training of byte-level BPE, and what is written of a tokenizer: tokenizer.json, GGUF metadata. */
#include "data_file.h"
#include "tokenizer_check.h"
#include "wengert/gguf.h"

START_TEST(merges_are_those_of_the_definition)
{
    /* Pairs of aaabdaaabac: aa comes 4 times; then (a, b) and (aa, a) twice, of which (a, b) has
     * the smaller ids; then (aa, ab). */
    wg_tokenizer *t = wg_tokenizer_train("aaabdaaabac", 11, 300);
    expect_no_error();
    ck_assert_int_eq(wg_tokenizer_size(t), 260);
    static const char *const made[] = { "aa", "ab", "aaab", "<|endoftext|>" };
    for (int i = 0; i < 4; i++) ck_assert_str_eq(wg_tokenizer_token(t, 256 + i, NULL), made[i]);
    ck_assert_str_eq(wg_tokenizer_token(t, 0, NULL), "!");
    ck_assert_str_eq(pieces(t, "aaabdaaabac", false), "aaab|d|aaab|a|c");
    ck_assert_str_eq(pieces(t, "aaaa ab", false), "aa|aa| |ab");
    ck_assert_int_eq(wg_tokenizer_bos(t), 259);
    ck_assert_int_eq(wg_tokenizer_eos(t), 259);
    ck_assert(!wg_tokenizer_adds_bos(t));
    wg_tokenizer_free(t);
}
END_TEST

START_TEST(no_merge_crosses_words)
{
    wg_tokenizer *t = wg_tokenizer_train("a b a b a b a b", 15, 300);
    ck_assert_str_eq(pieces(t, "a b", false), "a| b");
    ck_assert_int_eq(wg_tokenizer_find(t, "a b"), -1);
    ck_assert_int_eq(wg_tokenizer_size(t), 256 + 2 + 1);
    wg_tokenizer_free(t);
}
END_TEST

/* Both give the same ids for texts of every kind, special tokens spelled in them. */
static void expect_same_ids(const wg_tokenizer *a, const wg_tokenizer *b, const char *what)
{
    static const char *const texts[] = {
        "",
        " ",
        few_words,
        "  two  spaces ",
        "x<|endoftext|> y</s>z<s>",
        "\xF0\x9F\x98\x80 \xE6\xBC\xA2\xE5\xAD\x97 \xC3\xA9t\xC3\xA9\n\t\r\n",
        "12345 'S 've",
        "\xFF\xFE broken \xE2\x82",
    };
    ck_assert_int_eq(wg_tokenizer_size(a), wg_tokenizer_size(b));
    ck_assert_int_eq(wg_tokenizer_bos(a), wg_tokenizer_bos(b));
    ck_assert_int_eq(wg_tokenizer_eos(a), wg_tokenizer_eos(b));
    ck_assert(wg_tokenizer_adds_bos(a) == wg_tokenizer_adds_bos(b));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (int special = 0; special < 2; special++) {
            char want[4096];
            strcpy(want, encoded(a, texts[i], special));
            ck_assert_msg(strcmp(want, encoded(b, texts[i], special)) == 0,
                          "%s, text %zu: got %s, want %s", what, i, encoded(b, texts[i], special),
                          want);
        }
    int64_t all = wg_tokenizer_size(a);
    for (int64_t i = 0; i < all; i += all < 1000 ? 1 : 97) {
        int64_t n, m;
        const char *x = wg_tokenizer_token(a, i, &n), *y = wg_tokenizer_token(b, i, &m);
        ck_assert_msg(n == m && memcmp(x, y, (size_t)n) == 0, "%s: token %lld", what, (long long)i);
        ck_assert(wg_tokenizer_is_special(a, i) == wg_tokenizer_is_special(b, i));
    }
}

static wg_tokenizer *through_gguf(const wg_tokenizer *t)
{
    wg_gguf_writer *w = wg_gguf_writer_new();
    ck_assert_int_eq(wg_tokenizer_put_gguf(t, w), WG_OK);
    ck_assert_int_eq(wg_gguf_write(w, in_folder("t.gguf")), WG_OK);
    wg_gguf_writer_free(w);
    wg_tokenizer *back = wg_tokenizer_open(in_folder("t.gguf"));
    expect_no_error();
    return back;
}

static wg_tokenizer *through_json(const wg_tokenizer *t)
{
    ck_assert_int_eq(wg_tokenizer_save(t, in_folder("saved.json")), WG_OK);
    wg_tokenizer *back = wg_tokenizer_open(in_folder("saved.json"));
    expect_no_error();
    return back;
}

START_TEST(a_trained_vocabulary_is_the_same_again_and_written)
{
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 280);
    wg_tokenizer *again = wg_tokenizer_train(few_words, sizeof few_words - 1, 280);
    wg_tokenizer *json = through_json(t), *gguf = through_gguf(t);
    ck_assert_int_eq(wg_tokenizer_size(t), 280);
    expect_same_ids(t, again, "trained again");
    expect_same_ids(t, json, "tokenizer.json");
    expect_same_ids(t, gguf, "GGUF");
    wg_tokenizer_free(t);
    wg_tokenizer_free(again);
    wg_tokenizer_free(json);
    wg_tokenizer_free(gguf);
}
END_TEST

START_TEST(published_vocabularies_are_written_and_read_again)
{
    static const char *const names[] = { "gpt2-tokenizer/tokenizer.json",
                                         "gpt2-tokenizer/vocab.bpe",
                                         "qwen2-tokenizer/ggml-vocab-qwen2.gguf",
                                         "llama-spm-tokenizer/tokenizer.model",
                                         "stories260K/tok512.bin" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *found = data_file(names[i]);
        if (!found) continue;
        wg_tokenizer *t = wg_tokenizer_open(found);
        expect_no_error();
        wg_tokenizer *json = through_json(t), *gguf = through_gguf(t);
        expect_same_ids(t, json, names[i]);
        expect_same_ids(t, gguf, names[i]);
        wg_tokenizer *both = through_gguf(json); /* merges with ranks become scores again */
        expect_same_ids(t, both, names[i]);
        wg_tokenizer_free(t);
        wg_tokenizer_free(json);
        wg_tokenizer_free(gguf);
        wg_tokenizer_free(both);
    }
}
END_TEST

START_TEST(a_failed_save_leaves_nothing)
{
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 260);
    const int before = folder_files(folder_path, false);
    ck_assert_int_eq(wg_tokenizer_save(t, in_folder("none/saved.json")), WG_ENOTFOUND);
    wg_error_clear();
    ck_assert_int_eq(wg_tokenizer_save(NULL, in_folder("x")), WG_EARG);
    expect_error(WG_EARG, "tokenizer_save: no tokenizer or no file name given");
    wg_raise(WG_EARG, "pending");
    ck_assert_int_eq(wg_tokenizer_save(t, in_folder("x")), WG_EARG);
    ck_assert_ptr_null(wg_tokenizer_train("a", 1, 300));
    wg_error_clear();
    ck_assert_int_eq(wg_tokenizer_put_gguf(t, NULL), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(folder_files(folder_path, false), before);
    wg_tokenizer_free(t);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("tokenizer_train",
                  (const TTest *[]) { merges_are_those_of_the_definition, no_merge_crosses_words,
                                      a_trained_vocabulary_is_the_same_again_and_written,
                                      published_vocabularies_are_written_and_read_again,
                                      a_failed_save_leaves_nothing, NULL });
    folder_remove();
    return failed;
}
