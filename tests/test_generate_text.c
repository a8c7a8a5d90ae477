/* Text from text: stop strings, whole characters, chats' tokens, and what a token costs in allocations. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "data_file.h"
#include "suite.h"

/* ---- allocations, counted by standing before the C library's ----------------------------------- */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS 1
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
static atomic_long allocations;

void *malloc(size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(p, n);
}
void *aligned_alloc(size_t align, size_t n)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(align, n);
}
#endif

/* ---- a small model of bytes -------------------------------------------------------------------- */

typedef struct {
    wg_scope scope;
    wg_tokenizer *tokenizer;
    wg_module *model;
    wg_generation *g;
} fixture;

static const char words[] =
    "the cat sat on the mat; the rat sat on the cat. \xc3\xa4\xc3\xb6\xc3\xbc \xe2\x82\xac\n";

static fixture begin(void)
{
    fixture f = { .scope = wg_scope_push() };
    wg_seed(4);
    f.tokenizer = wg_tokenizer_train(words, sizeof words - 1, 270);
    wg_transformer_config c = wg_gpt2_config(2, 2, 16, wg_tokenizer_size(f.tokenizer), 300);
    f.model = wg_transformer_new(&c);
    f.g = wg_generation_new(f.model);
    expect_no_error();
    return f;
}

static void end(fixture f)
{
    wg_generation_free(f.g);
    wg_module_free(f.model);
    wg_tokenizer_free(f.tokenizer);
    pop(f.scope);
}

typedef struct {
    char text[8192];
    int64_t n, calls, most;
} heard;

static bool hear(void *self, const char *text, int64_t n)
{
    heard *h = self;
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq((int64_t)strlen(text), (int64_t)strnlen(text, (size_t)n));
    memcpy(h->text + h->n, text, (size_t)n);
    h->n += n;
    h->text[h->n] = 0;
    h->calls++;
    return h->most == 0 || h->calls < h->most;
}

START_TEST(what_is_heard_is_the_text)
{
    fixture f = begin();
    for (uint64_t seed = 0; seed < 20; seed++) {
        heard h = { 0 };
        char *text = NULL;
        const wg_sampling how = { .temperature = 1, .seed = seed };
        const int64_t n =
            wg_generate_text(f.g, f.tokenizer, "the cat", .text = &text, .max_tokens = 60,
                             .sampling = how, .ignore_end = true, .on_text = hear, .self = &h);
        expect_no_error();
        ck_assert_int_eq(n, 60);
        ck_assert_mem_eq(text, h.text, (size_t)h.n);
        free(text);
        int64_t *ids = NULL, *out = NULL, bytes = 0;
        const int64_t m = wg_tokenizer_encode(f.tokenizer, "the cat", 7, &ids);
        ck_assert_int_eq(wg_generate(f.g, { ids, m }, &out, .max_tokens = 60, .sampling = how), 60);
        char *want = wg_tokenizer_decode(f.tokenizer, out, 60, &bytes, .skip_special = true);
        ck_assert_int_eq(bytes, h.n);
        ck_assert_mem_eq(want, h.text, (size_t)bytes);
        free(want);
        free(ids);
        free(out);
    }
    end(f);
}
END_TEST

START_TEST(a_stop_string_ends_the_text_before_it)
{
    fixture f = begin();
    const wg_sampling how = { .temperature = 1, .seed = 7 };
    char *whole = NULL, *cut = NULL;
    wg_generate_text(f.g, f.tokenizer, "the", .text = &whole, .max_tokens = 80, .sampling = how,
                     .ignore_end = true);
    ck_assert_int_gt((int64_t)strlen(whole), 40);
    for (int at = 1; at < 30; at += 3) {
        char stop[6] = { 0 };
        memcpy(stop, whole + at, 5); /* spans tokens */
        const char *const stops[] = { "never to be seen", stop, NULL };
        const char *first = strstr(whole, stop);
        heard h = { 0 };
        wg_generate_text(f.g, f.tokenizer, "the", .text = &cut, .max_tokens = 80, .sampling = how,
                         .stop = stops, .ignore_end = true, .on_text = hear, .self = &h);
        expect_no_error();
        ck_assert_int_eq((int64_t)strlen(cut), first - whole);
        ck_assert_mem_eq(cut, whole, strlen(cut));
        ck_assert_str_eq(h.text, cut);
        free(cut);
    }
    /* The beginning of a stop string at the end of the text is text. */
    char tail[8] = { 0 };
    memcpy(tail, whole + strlen(whole) - 3, 3);
    strcat(tail, "@@");
    const char *const never[] = { tail, NULL };
    wg_generate_text(f.g, f.tokenizer, "the", .text = &cut, .max_tokens = 80, .sampling = how,
                     .stop = never, .ignore_end = true);
    ck_assert_str_eq(cut, whole);
    free(cut);
    free(whole);
    end(f);
}
END_TEST

START_TEST(the_listener_can_end_it)
{
    fixture f = begin();
    heard h = { .most = 3 };
    char *text = NULL;
    wg_generate_text(f.g, f.tokenizer, "the", .text = &text, .on_text = hear, .self = &h,
                     .sampling = { .temperature = 1 }, .ignore_end = true);
    expect_no_error();
    ck_assert_int_eq(h.calls, 3);
    ck_assert_str_eq(text, h.text);
    free(text);
    end(f);
}
END_TEST

START_TEST(texts_that_cannot_be_continued_say_why)
{
    fixture f = begin();
    char *text = NULL, path[] = "/tmp/wengert-tokenizer-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    fputs("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": []}}",
          file);
    fclose(file);
    wg_tokenizer *bare = wg_tokenizer_open(path);
    expect_no_error();
    remove(path);
    ck_assert_int_eq(wg_generate_text(f.g, bare, "", .text = &text), -1);
    wg_tokenizer_free(bare);
    expect_error(
        WG_EARG,
        "generate_text: an empty prompt, and the tokenizer has no beginning-of-text token");
    ck_assert_ptr_null(text);
    ck_assert_int_eq(wg_generate_text(f.g, NULL, "x"), -1);
    expect_error(WG_EARG, "generate_text: the generation, the tokenizer or the prompt is NULL");
    heard h = { 0 };
    ck_assert_int_eq(wg_generate_text(f.g, f.tokenizer, "the", .text = &text, .ignore_end = true,
                                      .on_text = hear, .self = &h),
                     -1);
    expect_error(WG_EARG, "generate: the context of 300 tokens is full");
    ck_assert_ptr_null(text);
    ck_assert_int_gt(h.n, 200); /* heard until then */
    end(f);
}
END_TEST

#if defined(COUNTS)
typedef struct {
    long at[256];
    int n;
} counts;

static bool count(void *self, int64_t row, int64_t id)
{
    (void)row, (void)id;
    counts *c = self;
    c->at[c->n++] = atomic_load(&allocations);
    return true;
}
#endif

/* After the first text all buffers are there: the cache's steps and everything that grows with it. */
START_TEST(tokens_cost_no_allocations)
{
#if defined(COUNTS)
    fixture f = begin();
    static counts c[2];
    for (int round = 0; round < 2; round++)
        ck_assert_int_eq(wg_generate(f.g, { (int64_t[]) { 7 }, 1 }, NULL, .max_tokens = 250,
                                     .on_token = count, .self = &c[round]),
                         250);
    ck_assert_msg(c[1].at[249] == c[1].at[0], "%ld allocations in 249 tokens",
                  c[1].at[249] - c[1].at[0]);
    /* In the first text a cache of 64 positions grows to 300, and the result's array: not with every token. */
    ck_assert_msg(c[0].at[249] - c[0].at[0] < 100, "%ld allocations", c[0].at[249] - c[0].at[0]);
    end(f);
#else
    puts(
        "skipped: allocations are not counted under sanitizers or without glibc (tokens_cost_no_allocations)");
#endif
}
END_TEST

/* ---- stories260K ------------------------------------------------------------------------------- */

START_TEST(stories260K_tells_its_story)
{
    const char *path = data_file("stories260K/stories260K.bin");
    if (!path) return;
    char want[4096];
    const wg_scope s = wg_scope_push();
    wg_model *m = wg_model_open(path, .no_tokenizer = true);
    wg_tokenizer *t = wg_tokenizer_open(data_file("stories260K/tok512.bin"));
    FILE *f = fopen(data_file("stories260K/greedy200.txt"), "rb");
    const size_t n = fread(want, 1, sizeof want - 1, f);
    fclose(f);
    want[n - 1] = 0; /* without the last new line, run.c's own */
    wg_module *draft[] = { NULL, wg_model_module(m) };
    for (int k = 0; k < 2; k++) {
        wg_generation *g = wg_generation_new(wg_model_module(m), .draft = draft[k]);
        char *text = NULL;
        ck_assert_int_eq(wg_generate_text(g, t, "", .text = &text, .max_tokens = 200), 200);
        expect_no_error();
        ck_assert_str_eq(text, want);
        free(text);
        wg_generation_free(g);
    }
    wg_tokenizer_free(t);
    wg_model_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_heard_is_the_text,
        a_stop_string_ends_the_text_before_it,
        the_listener_can_end_it,
        texts_that_cannot_be_continued_say_why,
        tokens_cost_no_allocations,
        stories260K_tells_its_story,
        NULL,
    };
    return suite_run("generate_text", tests);
}
