/* Tokenizers from GGUF, and from files that are damaged or met without memory. */
#include "damage.h"
#include "tensor/internal.h"
#include "tokenizer_samples.h"
#include "wengert/gguf.h"

/* ---- GGUF ------------------------------------------------------------------------------------ */
static void put_small_gguf(const char *model, const char *pre, int64_t types, const char *merge)
{
    static const char *const tokens[] = { "a", "b", "ab", "<e>" };
    static const int32_t kinds[] = { 1, 1, 1, 3, 1 };
    static const float scores[] = { 0, 0, -1, 0 };
    wg_gguf_writer *w = wg_gguf_writer_new();
    if (model) wg_gguf_put_string(w, "tokenizer.ggml.model", model, -1);
    wg_gguf_put_string(w, "tokenizer.ggml.pre", pre, -1);
    wg_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, NULL, 4);
    wg_gguf_put_array(w, "tokenizer.ggml.token_type", WG_GGUF_I32, kinds, types);
    wg_gguf_put_array(w, "tokenizer.ggml.scores", WG_GGUF_F32, scores, 4);
    wg_gguf_put_strings(w, "tokenizer.ggml.merges", &merge, NULL, 1);
    wg_gguf_put_int(w, "tokenizer.ggml.eos_token_id", WG_GGUF_U32, 3);
    ck_assert_int_eq(wg_gguf_write(w, in_folder("small.gguf")), WG_OK);
    wg_gguf_writer_free(w);
}

START_TEST(gguf_metadata_are_checked)
{
    const char *path = in_folder("small.gguf");
    put_small_gguf("gpt2", "gpt-2", 4, "a b");
    wg_tokenizer *t = wg_tokenizer_open(path);
    expect_no_error();
    ck_assert_str_eq(pieces(t, "abb<e>", true), "ab|b|<e>");
    ck_assert_int_eq(wg_tokenizer_eos(t), 3);
    wg_tokenizer_free(t);
    static const struct {
        const char *model, *pre, *merge;
        int64_t types;
        const char *message;
    } cases[] = {
        { NULL, "gpt-2", "a b", 4, "no tokenizer in it (tokenizer.ggml.model)" },
        { "bert", "gpt-2", "a b", 4,
          "tokenizer.ggml.model \"bert\"; gpt2 and llama are supported" },
        { "gpt2", "bloom", "a b", 4, "pre-tokenizer \"bloom\" is not supported" },
        { "gpt2", "gpt", "a b", 4, "pre-tokenizer \"gpt\" is not supported" },
        { "gpt2", "gpt-2", "a b", 5, "tokenizer.ggml.token_type has 5 elements where the voc" },
        { "gpt2", "gpt-2", "b a", 4, "merge 1, \"b\" and \"a\": what they make is no token" },
        { "gpt2", "gpt-2", "ab", 4, "merge 1, \"ab\", is no two words" },
        { "llama", "default", "a b", 3, "tokenizer.ggml.token_type has 3 elements" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_small_gguf(cases[i].model, cases[i].pre, cases[i].types, cases[i].merge);
        ck_assert_msg(wg_tokenizer_open(path) == NULL, "accepted: %s", cases[i].message);
        expect_error(WG_EFORMAT, format("%s: %s", path, cases[i].message));
    }
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------- */
/* Opens it; what opens must encode, or say why not. */
static bool try_file(const char *path)
{
    wg_tokenizer *t = wg_tokenizer_open(path);
    ck_assert_int_eq(t == NULL, wg_error_code() != WG_OK);
    if (t) {
        int64_t *ids;
        const int64_t n =
            wg_tokenizer_encode(t, few_words, (int64_t)sizeof few_words - 1, &ids, .special = true);
        if (n >= 0) free(wg_tokenizer_decode(t, ids, n, NULL));
        ck_assert_int_eq(n < 0, wg_error_code() != WG_OK);
        free(ids);
    }
    wg_tokenizer_free(t);
    wg_error_clear();
    return t != NULL;
}

/* Cuts the file at every length (at most 600 of them), then damages it. */
static void damage_file(const char *path, int rounds)
{
    size_t bytes;
    char *file = get_file(path, &bytes), *copy = malloc(2 * bytes + 64);
    for (size_t n = 0; n < bytes; n += 1 + bytes / 600) {
        put_file(path, file, n);
        try_file(path);
    }
    int opened = 0;
    for (int i = 0; i < rounds; i++) {
        memcpy(copy, file, bytes);
        const size_t n = damage(copy, bytes, i % 2 ? bytes : 400);
        put_file(path, copy, n);
        opened += try_file(path);
    }
    put_file(path, file, bytes);
    printf("%s: %d damaged, %d still opened\n", strrchr(path, '/') + 1, rounds, opened);
    free(copy);
    free(file);
}

START_TEST(damaged_files_neither_crash_nor_leak)
{
    const char *full = getenv("WG_TEST_FULL");
    const int rounds = full && *full ? 20000 : 1500;
    static sample s;
    const char *path = in_folder("damaged");
    s.n = 0;
    add_sentencepiece(&s, (sentencepiece_options) { .model_type = 2 });
    put_file(path, s.bytes, s.n);
    damage_file(path, rounds);
    s.n = 0;
    add_llama2c(&s);
    put_file(path, s.bytes, s.n);
    damage_file(path, rounds);
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 270);
    ck_assert_int_eq(wg_tokenizer_save(t, path), WG_OK);
    damage_file(path, rounds);
    wg_gguf_writer *w = wg_gguf_writer_new();
    wg_tokenizer_put_gguf(t, w);
    ck_assert_int_eq(wg_gguf_write(w, path), WG_OK);
    wg_gguf_writer_free(w);
    damage_file(path, rounds);
    wg_tokenizer_free(t);
    mkdir(in_folder("two"), 0777);
    put_text(in_folder("two/encoder.json"), TWO_TOKENS);
    put_text(in_folder("two/vocab.bpe"), "#version: 0.2\na b\n");
    damage_file(in_folder("two/encoder.json"), rounds);
    damage_file(in_folder("two/vocab.bpe"), rounds);
    put_text(path, small_json(BYTE_LEVEL ",\"normalizer\":{\"type\":\"NFC\"}", UNKNOWN,
                              "{\"id\":6,\"content\":\"<x>\",\"special\":true,\"lstrip\":true}"));
    damage_file(path, rounds);
}
END_TEST

/* Every allocation of the library's own fails in turn. */
static void fail_each(const char *path, bool save)
{
    int64_t fail = 1;
    for (bool done = false; !done; fail++) {
        ck_assert_int_lt(fail, 20000);
        wgi_fail_alloc_after(fail);
        wg_tokenizer *t = wg_tokenizer_open(path);
        if (t && save) {
            wg_gguf_writer *w = wg_gguf_writer_new();
            (void)!wg_tokenizer_save(t, in_folder("kept.json"));
            if (w) wg_tokenizer_put_gguf(t, w);
            wg_gguf_writer_free(w);
        }
        done = wgi_fail_alloc_left() > 0;
        wgi_fail_alloc_after(0);
        if (!done) ck_assert_int_eq(wg_error_code(), WG_EMEM);
        wg_tokenizer_free(t);
        wg_error_clear();
    }
    ck_assert_int_gt(fail, 10);
}

START_TEST(every_allocation_may_fail)
{
    static sample s;
    const char *path = in_folder("memory");
    sentencepiece_options o = { .model_type = 2 };
    s.n = 0;
    add_sentencepiece(&s, o);
    put_file(path, s.bytes, s.n);
    fail_each(path, false);
    s.n = 0;
    add_llama2c(&s);
    put_file(path, s.bytes, s.n);
    fail_each(path, true);
    put_text(path, small_json(BYTE_LEVEL ",\"normalizer\":{\"type\":\"NFC\"}", UNKNOWN,
                              "{\"id\":6,\"content\":\"<x>\",\"special\":true,\"lstrip\":true}"));
    fail_each(path, true);
    put_small_gguf("gpt2", "qwen2", 4, "a b");
    fail_each(in_folder("small.gguf"), false);
    mkdir(in_folder("two"), 0777);
    put_text(in_folder("two/encoder.json"), TWO_TOKENS);
    put_text(in_folder("two/vocab.bpe"), "#version: 0.2\na b\n");
    fail_each(in_folder("two"), false);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("tokenizer_damage", (const TTest *[]) { gguf_metadata_are_checked,
                                                          damaged_files_neither_crash_nor_leak,
                                                          every_allocation_may_fail, NULL });
    folder_remove();
    return failed;
}
