/* Tokenizers: the published texts and ids, round trips, streaming, threads. */
#include <pthread.h>

#include "damage.h"
#include "data_file.h"
#include "tensor/internal.h"
#include "tokenizer_check.h"

/* ---- the published texts --------------------------------------------------------------------- */
/* Texts are apart by a line `__ggml_vocab_test__`, whose line ends belong to it; the ids of each
 * are a line. */
static void expect_published(const char *tokenizer, const char *texts)
{
    static const char line[] = "\n__ggml_vocab_test__\n";
    const char *found = data_file(tokenizer);
    if (!found) return;
    wg_tokenizer *t = wg_tokenizer_open(found);
    expect_no_error();
    size_t bytes, out_bytes;
    char *in = get_file(data_file(format("%s.inp", texts)), &bytes);
    char *out = get_file(data_file(format("%s.out", texts)), &out_bytes);
    int n = 0;
    char *want = out;
    for (char *at = in, *next; at; at = next, n++) {
        next = strstr(at, line);
        if (next) {
            *next = '\0';
            next += sizeof line - 1;
        }
        char *end = strchr(want, '\n');
        if (end) *end = '\0';
        want += strspn(want, " ");
        ck_assert_msg(strcmp(encoded(t, at, false), want) == 0, "%s: \"%s\":\ngot  %s\nwant %s",
                      tokenizer, at, encoded(t, at, false), want);
        expect_same_text(t, at, strlen(at), tokenizer);
        want = end ? end + 1 : want + strlen(want);
    }
    ck_assert_int_eq(n, 47);
    free(in);
    free(out);
    wg_tokenizer_free(t);
}

START_TEST(gpt2_gives_the_published_ids)
{
    static const char texts[] = "gpt2-tokenizer/ggml-vocab-gpt-2.gguf";
    expect_published("gpt2-tokenizer/vocab.bpe", texts);
    expect_published("gpt2-tokenizer/encoder.json", texts);
    expect_published("gpt2-tokenizer/tokenizer.json", texts);
    expect_published("gpt2-tokenizer/ggml-vocab-gpt-2.gguf", texts);
    expect_published("gpt2-tokenizer", texts);
}
END_TEST

START_TEST(llama_gives_the_published_ids)
{
    static const char texts[] = "llama-spm-tokenizer/ggml-vocab-llama-spm.gguf";
    expect_published("llama-spm-tokenizer/tokenizer.model", texts);
    expect_published("llama-spm-tokenizer/ggml-vocab-llama-spm.gguf", texts);
}
END_TEST

START_TEST(qwen2_gives_the_published_ids)
{
    expect_published("qwen2-tokenizer/ggml-vocab-qwen2.gguf",
                     "qwen2-tokenizer/ggml-vocab-qwen2.gguf");
}
END_TEST

START_TEST(llama2c_gives_the_published_story)
{
    const char *found = data_file("stories260K/tok512.bin");
    if (!found) return;
    wg_tokenizer *t = wg_tokenizer_open(found);
    expect_no_error();
    size_t bytes, size;
    char *text = get_file(data_file("stories260K/greedy200.txt"), &size);
    char *tokens = get_file(data_file("stories260K/greedy200_tokens_i32.bin"), &bytes);
    int64_t ids[200], length;
    ck_assert_uint_eq(bytes, 4 * 200);
    for (int i = 0; i < 200; i++) ids[i] = ((int32_t *)(void *)tokens)[i];
    char *said = wg_tokenizer_decode(t, ids, 200, &length, .skip_special = true);
    expect_no_error();
    while (size && text[size - 1] == '\n') size--;
    ck_assert_msg((size_t)length <= size && memcmp(said, text, (size_t)length) == 0 && length > 400,
                  "%s", said);
    ck_assert_int_eq(wg_tokenizer_bos(t), 1);
    ck_assert_int_eq(wg_tokenizer_eos(t), 2);
    ck_assert(wg_tokenizer_adds_bos(t) && wg_tokenizer_is_end(t, 2) && !wg_tokenizer_is_end(t, 5));
    free(said);
    free(text);
    free(tokens);
    wg_tokenizer_free(t);
}
END_TEST

/* ---- there and back -------------------------------------------------------------------------- */
static size_t random_bytes(char *text)
{
    const size_t n = random_next() % 200;
    for (size_t i = 0; i < n; i++) text[i] = (char)random_next();
    return n;
}

static size_t random_characters(char *text)
{
    static const uint32_t begins[] = {
        0, 0x20, 0x20, 0x41, 0x300, 0x4E00, 0xAC00, 0x1F300, 0xE0000
    };
    size_t n = 0;
    for (uint64_t k = random_next() % 60; k > 0; k--) {
        uint32_t c = begins[random_next() % 9] + (uint32_t)(random_next() % 80);
        if (random_next() % 8 == 0) c = (uint32_t)(random_next() % 0x110000);
        if ((c >= 0xD800 && c < 0xE000) || c == 0x2581)
            continue; /* U+2581 is SentencePiece's space */
        const int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const uint8_t lead[] = { 0, 0xC0, 0xE0, 0xF0 };
        text[n++] = (char)(lead[more] | c >> (6 * more));
        for (int i = more - 1; i >= 0; i--) text[n++] = (char)(0x80 | (c >> (6 * i) & 0x3F));
    }
    return n;
}

static void expect_round_trips(const wg_tokenizer *t, const char *name)
{
    char text[512];
    for (int i = 0; i < 2000; i++) {
        const size_t n = i % 2 ? random_bytes(text) : random_characters(text);
        text[n] = '\0';
        if (memmem(text, n, "\xE2\x96\x81", 3)) continue;
        expect_same_text(t, text, n, name);
    }
}

START_TEST(any_bytes_and_any_unicode_come_back)
{
    static const char *const names[] = { "gpt2-tokenizer/tokenizer.json",
                                         "gpt2-tokenizer/ggml-vocab-gpt-2.gguf",
                                         "qwen2-tokenizer/ggml-vocab-qwen2.gguf",
                                         "llama-spm-tokenizer/tokenizer.model",
                                         "stories260K/tok512.bin",
                                         "stories260K/stories260K.gguf" };
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 320);
    expect_round_trips(t, "trained");
    wg_tokenizer_free(t);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *found = data_file(names[i]);
        if (!found) continue;
        t = wg_tokenizer_open(found);
        expect_no_error();
        expect_round_trips(t, names[i]);
        wg_tokenizer_free(t);
    }
}
END_TEST

START_TEST(words_met_again_give_the_same_ids)
{
    enum { WORDS = 40000, LENGTH = 11 };
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 280);
    char *text = malloc(WORDS * LENGTH + 1), *end = text;
    int64_t *ids, k = 0;
    /* 17576 words, alike in their first 8 bytes. */
    for (int i = 0; i < WORDS; i++)
        end += sprintf(end, " thethea%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676 % 26);
    const int64_t n = wg_tokenizer_encode(t, text, end - text, &ids);
    for (const char *word = text; word < end; word += LENGTH) {
        int64_t *alone;
        const int64_t m = wg_tokenizer_encode(t, word, LENGTH, &alone);
        ck_assert_int_le(k + m, n);
        ck_assert_msg(memcmp(alone, ids + k, (size_t)m * sizeof *ids) == 0, "%.11s", word);
        k += m;
        free(alone);
    }
    ck_assert_int_eq(k, n);
    free(ids);
    free(text);
    wg_tokenizer_free(t);
}
END_TEST

START_TEST(a_megabyte_of_one_letter_is_merged_like_a_short_word)
{
    enum { N = 1 << 20 };
    wg_tokenizer *t = wg_tokenizer_train("aaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa", 33, 300);
    char *text = malloc(N);
    memset(text, 'a', N);
    int64_t *ids, *again, id = -1;
    const int64_t n = wg_tokenizer_encode(t, text, N, &ids);
    expect_no_error();
    ck_assert_int_ge(wg_tokenizer_find(t, "aaaaaaaa"), 256);
    for (int64_t length = 1; length < 32; length *= 2) /* the longest token of letters alone */
        if (wg_tokenizer_find(t, format("%.*s", (int)length, text)) >= 0)
            id = wg_tokenizer_find(t, format("%.*s", (int)length, text));
    int64_t size;
    wg_tokenizer_token(t, id, &size);
    ck_assert_int_eq(n, N / size);
    for (int64_t i = 0; i < n; i++) ck_assert_int_eq(ids[i], id);
    expect_same_text(t, text, N, "a megabyte");
    ck_assert_int_eq(wg_tokenizer_encode(t, text, 32, &again), 32 / size); /* without the heap */
    ck_assert_mem_eq(ids, again, (size_t)(32 / size) * sizeof *ids);
    free(ids);
    free(again);
    free(text);
    wg_tokenizer_free(t);
}
END_TEST

/* ---- special tokens and arguments ------------------------------------------------------------ */
START_TEST(special_tokens_are_text_unless_asked_for)
{
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 280);
    const int64_t end = wg_tokenizer_size(t) - 1;
    ck_assert_int_eq(wg_tokenizer_find(t, "<|endoftext|>"), end);
    ck_assert(wg_tokenizer_is_end(t, end) && wg_tokenizer_is_special(t, end));
    ck_assert(!wg_tokenizer_is_special(t, 5) && !wg_tokenizer_is_end(t, -1));
    ck_assert_int_eq(wg_tokenizer_find(t, " the"), wg_tokenizer_find(t, " the"));
    ck_assert_int_ge(wg_tokenizer_find(t, " the"), 256);
    ck_assert_int_eq(wg_tokenizer_find(t, "nowhere"), -1);
    static const char text[] = "a<|endoftext|><|endoftext|>b";
    ck_assert_str_eq(pieces(t, text, true), "a|<|endoftext|>|<|endoftext|>|b");
    ck_assert_int_eq(strncmp(pieces(t, text, false), "a|<", 3), 0);
    ck_assert_ptr_null(strstr(encoded(t, text, false), format("%lld", (long long)end)));
    int64_t *ids, n = wg_tokenizer_encode(t, "b", 1, &ids, .bos = true);
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(ids[0], end);
    int64_t size;
    char *whole = wg_tokenizer_decode(t, ids, n, &size);
    char *plain = wg_tokenizer_decode(t, ids, n, NULL, .skip_special = true);
    ck_assert_str_eq(whole, "<|endoftext|>b");
    ck_assert_str_eq(plain, "b");
    free(whole);
    free(plain);
    free(ids);
    wg_tokenizer_free(t);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    wg_tokenizer *t = wg_tokenizer_train("", 0, 257);
    int64_t *ids = NULL, size = 7;
    ck_assert_int_eq(wg_tokenizer_size(t), 257);
    ck_assert_int_eq(wg_tokenizer_encode(t, NULL, 0, &ids), 0);
    ck_assert_ptr_nonnull(ids);
    free(ids);
    ck_assert_int_eq(wg_tokenizer_encode(t, NULL, 1, &ids), -1);
    expect_error(WG_EARG, "tokenizer_encode: no tokenizer, no text");
    ck_assert_ptr_null(ids);
    ck_assert_int_eq(wg_tokenizer_encode(NULL, "a", 1, &ids), -1);
    wg_error_clear();
    ck_assert_int_eq(wg_tokenizer_encode(t, "a", -1, &ids), -1);
    wg_error_clear();
    ck_assert_ptr_null(wg_tokenizer_decode(t, (int64_t[]) { 0, 257 }, 2, &size));
    expect_error(WG_EINDEX, "tokenizer_decode: id 257 is out of range, the vocabulary has 257");
    ck_assert_int_eq(size, 0);
    ck_assert_ptr_null(wg_tokenizer_decode(t, (int64_t[]) { -1 }, 1, &size));
    wg_error_clear();
    ck_assert_ptr_null(wg_tokenizer_token(t, 257, &size));
    ck_assert_ptr_null(wg_tokenizer_train("a", 1, 256));
    expect_error(WG_EARG, "tokenizer_train: no text given, or 256 tokens");
    ck_assert_ptr_null(wg_tokenizer_open(NULL));
    expect_error(WG_EARG, "tokenizer_open: no file name given");
    ck_assert_ptr_null(wg_decoder_new(NULL));
    expect_error(WG_EARG, "decoder_new: no tokenizer given");
    wg_decoder *d = wg_decoder_new(t);
    ck_assert_ptr_null(wg_decoder_put(d, 257, &size));
    expect_error(WG_EINDEX, "decoder_put: id 257 is out of range");
    ck_assert_str_eq(wg_decoder_put(d, 0, &size), "!");
    wg_decoder_free(d);
    wg_decoder_free(NULL);
    wg_tokenizer_free(t);
    wg_tokenizer_free(NULL);
    ck_assert_int_eq(wg_tokenizer_size(NULL), 0);
}
END_TEST

/* ---- streaming ------------------------------------------------------------------------------- */
/* Whether text, which is part of a valid one, ends where a character does. */
static bool ends_whole(const char *text, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        const uint8_t c = (uint8_t)text[n - k];
        if ((c & 0xC0) == 0x80) continue;
        return k >= (c >= 0xF0 ? 4u : c >= 0xE0 ? 3u : c >= 0xC0 ? 2u : 1u);
    }
    return true;
}

START_TEST(a_stream_gives_whole_characters_and_the_same_text)
{
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 290);
    wg_decoder *d = wg_decoder_new(t);
    for (int round = 0; round < 1000; round++) {
        char text[512], said[1024];
        const size_t n = round % 2 ? random_bytes(text) : random_characters(text);
        size_t at = 0;
        int64_t *ids, size;
        const int64_t count = wg_tokenizer_encode(t, text, (int64_t)n, &ids);
        for (int64_t i = 0; i < count; i++) {
            const char *now = wg_decoder_put(d, ids[i], &size);
            ck_assert_ptr_nonnull(now);
            ck_assert_int_eq(now[size], '\0');
            ck_assert_msg(round % 2 || ends_whole(now, (size_t)size), "half a character");
            memcpy(said + at, now, (size_t)size);
            at += (size_t)size;
        }
        const char *rest = wg_decoder_end(d, &size);
        if (round % 2 == 0) ck_assert_int_eq(size, 0);
        memcpy(said + at, rest, (size_t)size);
        at += (size_t)size;
        ck_assert_uint_eq(at, n);
        ck_assert_mem_eq(said, text, n);
        free(ids);
    }
    wg_decoder_free(d);
    wg_tokenizer_free(t);
}
END_TEST

/* ---- threads, memory ------------------------------------------------------------------------- */
typedef struct {
    const wg_tokenizer *t;
    char *ids;
} job;

static void *encode_often(void *self)
{
    job *j = self;
    for (int i = 0; i < 200; i++) {
        int64_t *ids;
        const int64_t n = wg_tokenizer_encode(j->t, few_words, (int64_t)sizeof few_words - 1, &ids);
        if (i == 0) j->ids = calloc((size_t)n + 1, sizeof *ids);
        if (i == 0) memcpy(j->ids, ids, (size_t)n * sizeof *ids);
        if (memcmp(j->ids, ids, (size_t)n * sizeof *ids) != 0) j->ids[0] = 99;
        free(ids);
    }
    return NULL;
}

START_TEST(many_threads_encode_with_one_tokenizer)
{
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 300);
    pthread_t threads[4];
    job jobs[4];
    int64_t *ids;
    const int64_t n = wg_tokenizer_encode(t, few_words, (int64_t)sizeof few_words - 1, &ids);
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job) { t, NULL };
        ck_assert_int_eq(pthread_create(&threads[i], NULL, encode_often, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_mem_eq(jobs[i].ids, ids, (size_t)n * sizeof *ids);
        free(jobs[i].ids);
    }
    free(ids);
    wg_tokenizer_free(t);
}
END_TEST

/* Trains, encodes and decodes; true if nothing failed. */
static bool try_all(void)
{
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 270);
    int64_t *ids = NULL, n = -1;
    if (t) n = wg_tokenizer_encode(t, few_words, (int64_t)sizeof few_words - 1, &ids);
    char *text = n < 0 ? NULL : wg_tokenizer_decode(t, ids, n, NULL);
    const bool done = text != NULL;
    free(text);
    free(ids);
    wg_tokenizer_free(t);
    return done;
}

START_TEST(every_allocation_may_fail)
{
    int64_t fail = 1;
    for (;; fail++) {
        wgi_fail_alloc_after(fail);
        const bool done = try_all();
        const bool reached = wgi_fail_alloc_left() <= 0;
        wgi_fail_alloc_after(0);
        if (done && !reached) break;
        if (!done) ck_assert_int_eq(wg_error_code(), WG_EMEM);
        wg_error_clear();
        ck_assert_int_lt(fail, 100000);
    }
    expect_no_error();
    ck_assert_int_gt(fail, 50);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed = suite_run(
        "tokenizer", (const TTest *[]) {
                         gpt2_gives_the_published_ids, llama_gives_the_published_ids,
                         qwen2_gives_the_published_ids, llama2c_gives_the_published_story,
                         any_bytes_and_any_unicode_come_back, words_met_again_give_the_same_ids,
                         a_megabyte_of_one_letter_is_merged_like_a_short_word,
                         special_tokens_are_text_unless_asked_for, wrong_arguments_are_refused,
                         a_stream_gives_whole_characters_and_the_same_text,
                         many_threads_encode_with_one_tokenizer, every_allocation_may_fail, NULL });
    folder_remove();
    return failed;
}
