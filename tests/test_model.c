/* Models from published files, and every architecture written and opened again. */
#include "model_sample.h"

static wg_model *open_model(const char *path)
{
    wg_model *m = wg_model_open(path);
    expect_no_error();
    ck_assert_ptr_nonnull(m);
    return m;
}

/* A file of the model that llama2.c publishes; NULL without the data. */
static wg_model *stories(const char *end, wg_dtype dtype)
{
    const char *path = data_file(format("stories260K/stories260K%s", end));
    if (!path) return NULL;
    wg_model *m = wg_model_open(path, .dtype = dtype);
    expect_no_error();
    return m;
}

/* llama2.c's own greedy tokens and logits. */
typedef struct {
    int64_t tokens[200];
    float *logits; /* (200, 512) */
} greedy;

static bool read_greedy(greedy *g)
{
    const char *tokens = data_file("stories260K/greedy200_tokens_i32.bin"),
               *logits = data_file("stories260K/greedy200_logits_f32.bin");
    if (!tokens || !logits) return false;
    size_t bytes;
    int32_t *t = (int32_t *)get_file(tokens, &bytes);
    ck_assert_uint_eq(bytes, 800);
    for (int i = 0; i < 200; i++) g->tokens[i] = t[i];
    free(t);
    g->logits = (float *)get_file(logits, &bytes);
    ck_assert_uint_eq(bytes, 200 * 512 * 4);
    return true;
}

static int argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* ---- published files ------------------------------------------------------------------------- */
START_TEST(llama2c_and_gguf_give_the_same_bits_and_llama2cs_logits)
{
    greedy g;
    if (!read_greedy(&g)) return;
    wg_model *bin = stories(".bin", 0), *gguf = stories(".gguf", 0);
    ck_assert_int_eq(wg_model_kind(bin), WG_FILE_LLAMA2C);
    ck_assert_int_eq(wg_model_kind(gguf), WG_FILE_GGUF);
    int64_t n, k;
    float *x = logits_of(wg_model_module(bin), g.tokens, 200, &n),
          *y = logits_of(wg_model_module(gguf), g.tokens, 200, &k);
    ck_assert(n == k && n == 200 * 512);
    ck_assert(!memcmp(x, y, (size_t)n * sizeof *x));
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i] - g.logits[i]));
    printf("llama2.c's logits: within %.2g\n", most);
    ck_assert(most < 1e-4);
    ck_assert_int_eq(wg_tokenizer_size(wg_model_tokenizer(bin)), 512);
    ck_assert_int_eq(wg_tokenizer_size(wg_model_tokenizer(gguf)), 512);
    free(x);
    free(y);
    free(g.logits);
    wg_model_free(bin);
    wg_model_free(gguf);
}
END_TEST

/* How many of the 200 next tokens are llama2.c's; dequantised, so that the bits of the file are
 * what is tested. Only 16-bit and 8-bit weights promise the first sentence. */
START_TEST(shortened_weights_open_and_follow_the_story)
{
    static const struct {
        const char *end;
        int least;
    } files[] = { { "-f16.gguf", 200 }, { "-q8_0.gguf", 195 }, { "-q4_0.gguf", 130 } };
    greedy g;
    if (!read_greedy(&g)) return;
    for (int i = 0; i < 3; i++) {
        wg_model *m = stories(files[i].end, WG_F32);
        int64_t n;
        float *x = logits_of(wg_model_module(m), g.tokens, 200, &n);
        int same = 0;
        for (int t = 0; t < 200; t++)
            same += argmax(x + t * 512, 512) == argmax(g.logits + t * 512, 512);
        printf("%s: %d of 200 next tokens\n", files[i].end, same);
        ck_assert_int_ge(same, files[i].least);
        free(x);
        wg_model_free(m);
    }
    free(g.logits);
}
END_TEST

START_TEST(weights_are_mapped_and_frozen_or_own_and_trainable)
{
    const char *path = data_file("stories260K/stories260K.gguf");
    if (!path) return;
    const int64_t before = wg_memory_stats(wg_cpu()).current;
    wg_model *m = wg_model_open(path, .no_tokenizer = true);
    /* Vectors of f32 are mapped too. What is left: the headroom of small things. */
    ck_assert_int_lt(wg_memory_stats(wg_cpu()).current - before, 4096);
    ck_assert_ptr_null(wg_model_tokenizer(m));
    const wg_scope s = wg_scope_push();
    wg_params p = wg_module_params(wg_model_module(m));
    for (int64_t i = 0; i < p.n; i++) ck_assert(!wg_requires_grad(p.p[i].tensor));
    pop(s);
    wg_model *own = wg_model_open(path, .trainable = true);
    const wg_scope t = wg_scope_push();
    p = wg_module_params(wg_model_module(own));
    for (int64_t i = 0; i < p.n; i++) {
        ck_assert(wg_requires_grad(p.p[i].tensor));
        ck_assert_int_eq(wg_dtype_of(p.p[i].tensor), WG_F32);
    }
    const int64_t ids[] = { 1, 403, 407, 261 };
    wg_tensor *x = wg_from(ids, sizeof ids, WG_I64, WG_DIMS(1, 4));
    wg_tensor *loss = wg_transformer_loss(wg_model_module(own), x, x);
    ck_assert_int_eq(wg_backward(loss), WG_OK);
    pop(t);
    ck_assert(apart(wg_model_module(m), wg_model_module(own)) == 0);
    wg_model_free(m);
    wg_model_free(own);
}
END_TEST

/* gguf-py wrote the published files from the same weights. */
START_TEST(saved_as_gguf_the_tensors_are_the_published_ones)
{
    static const struct {
        const char *end;
        wg_dtype dtype;
    } files[] = { { ".gguf", WG_F32 },
                  { "-f16.gguf", WG_F16 },
                  { "-q8_0.gguf", WG_Q8_0 },
                  { "-q4_0.gguf", WG_Q4_0 } };
    wg_model *m = stories(".gguf", 0);
    if (!m) return;
    for (int k = 0; k < 4; k++) {
        const char *path = in_folder("published.gguf");
        ck_assert_int_eq(wg_model_save(m, path, .dtype = files[k].dtype), WG_OK);
        const wg_scope s = wg_scope_push();
        wg_gguf *ours = wg_gguf_open(path),
                *theirs =
                    wg_gguf_open(data_file(format("stories260K/stories260K%s", files[k].end)));
        ck_assert_int_eq(wg_gguf_count(ours), wg_gguf_count(theirs));
        for (int64_t i = 0; i < wg_gguf_count(theirs); i++) {
            const char *name = wg_gguf_name(theirs, i);
            wg_tensor *a = wg_gguf_get(ours, name), *b = wg_gguf_get(theirs, name);
            ck_assert_msg(a && wg_dtype_of(a) == wg_dtype_of(b) && wg_numel(a) == wg_numel(b),
                          "%s: %s", name, files[k].end);
            const wg_dtype d = wg_dtype_of(a);
            const size_t bytes =
                (size_t)(wg_numel(a) / wg_dtype_block(d)) * wg_dtype_block_bytes(d);
            ck_assert_msg(!memcmp(wg_data(a), wg_data(b), bytes), "%s: bits differ", name);
        }
        /* Its metadata and tokenizer came along. */
        ck_assert_int_eq(wg_gguf_array_size(ours, "tokenizer.ggml.tokens"), 512);
        ck_assert_int_eq(wg_gguf_int(ours, "llama.attention.head_count_kv", 0), 4);
        wg_gguf_close(ours);
        wg_gguf_close(theirs);
        pop(s);
    }
    wg_model_free(m);
}
END_TEST

START_TEST(a_published_model_goes_through_every_format)
{
    wg_model *m = stories(".bin", 0);
    if (!m) return;
    static const char *const steps[] = { "one", "two.gguf", "three" };
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(wg_model_save(m, in_folder(steps[i])), WG_OK);
        wg_model *next = open_model(in_folder(steps[i]));
        /* Rope of halves and of adjacent pairs adds in another order. */
        ck_assert(apart(wg_model_module(next), wg_model_module(m)) < 3e-6);
        ck_assert_int_eq(wg_tokenizer_size(wg_model_tokenizer(next)), 512);
        wg_model_free(m);
        m = next;
    }
    wg_model_free(m);
}
END_TEST

/* ---- every architecture ---------------------------------------------------------------------- */
typedef struct {
    const char *name;
    wg_transformer_config c;
    bool no_gguf;
} sample;

enum { SAMPLES = 14 };
static void make_samples(sample *s)
{
    for (int i = 0; i < SAMPLES; i++) s[i] = (sample) { .c = i < 4 ? small_gpt2() : small_llama() };
    s[0].name = "gpt2";
    s[1].name = "gpt2 without biases, untied";
    s[1].c.no_bias = s[1].c.untied = true;
    s[2].name = "gpt2 of the erf form";
    s[2].c.activation = WG_ACT_GELU;
    s[2].no_gguf = true;
    s[3].name = "gpt2 with its own hidden size and eps";
    s[3].c.hidden = 50;
    s[3].c.eps = 1e-3;
    s[4].name = "llama";
    s[5].name = "llama of adjacent pairs, tied";
    s[5].c.rope_adjacent = true;
    s[5].c.untied = false;
    s[6].name = "llama with Meta's names";
    s[6].c.names = WG_NAMES_META_LLAMA;
    s[7].name = "llama with biases, adjacent";
    s[7].c.no_bias = false;
    s[7].c.rope_adjacent = true;
    s[8].name = "llama with a head size of its own";
    s[8].c.head_size = 10;
    s[9].name = "llama 3";
    s[9].c.rope_base = 500000;
    s[9].c.rope_scaling = (wg_rope_scaling) { WG_ROPE_LLAMA3, 8, 1, 4, 16 };
    s[10].name = "llama with linear rope";
    s[10].c.rope_scaling = (wg_rope_scaling) { .kind = WG_ROPE_LINEAR, .factor = 4 };
    s[11].name = "mistral";
    s[11].c.window = 4;
    s[12].name = "qwen2";
    s[12].c.qkv_bias = true;
    s[13].name = "qwen2 with a window, adjacent";
    s[13].c.qkv_bias = s[13].c.rope_adjacent = true;
    s[13].c.window = 4;
}

/* Saved, opened, and saved from there in the other format: the same model to the order of sums. */
START_TEST(every_architecture_comes_back)
{
    sample all[SAMPLES];
    make_samples(all);
    for (int i = 0; i < SAMPLES; i++) {
        wg_model *m = wg_model_wrap(random_transformer(&all[i].c), NULL);
        expect_no_error();
        for (int k = 0; k < 2; k++) {
            if (k == 1 && all[i].no_gguf) continue;
            const char *path = in_folder(k ? "m.gguf" : "m"),
                       *other = in_folder(k ? "o" : "o.gguf");
            ck_assert_msg(wg_model_save(m, path) == WG_OK, "%s: %s", all[i].name,
                          wg_error_get()->message);
            wg_model *back = open_model(path);
            const double d = apart(wg_model_module(back), wg_model_module(m));
            ck_assert_msg(d < 3e-6, "%s, %s: %g", all[i].name, path, d);
            if (!all[i].no_gguf) {
                ck_assert_int_eq(wg_model_save(back, other), WG_OK);
                wg_model *third = open_model(other);
                const double e = apart(wg_model_module(third), wg_model_module(m));
                ck_assert_msg(e < 3e-6, "%s, %s: %g", all[i].name, other, e);
                wg_model_free(third);
            }
            wg_model_free(back);
        }
        wg_model_free(m);
    }
}
END_TEST

START_TEST(sixteen_bit_models_come_back_exactly)
{
    static const wg_dtype dtypes[] = { WG_BF16, WG_F16 };
    wg_transformer_config configs[] = { small_gpt2(), small_llama() };
    for (int i = 0; i < 8; i++) {
        const char *path = in_folder(i & 1 ? "half.gguf" : "half");
        wg_model *m = wg_model_wrap(random_transformer(&configs[i >> 1 & 1]), NULL);
        wg_module_cast(wg_model_module(m), dtypes[i >> 2]);
        wg_module_cast(wg_model_module(m), WG_F32);
        ck_assert_int_eq(wg_model_save(m, path, .dtype = dtypes[i >> 2]), WG_OK);
        wg_model *back = open_model(path);
        const wg_scope s = wg_scope_push();
        const wg_params p = wg_module_params(wg_model_module(back));
        for (int64_t k = 0; k < p.n; k++) {
            const bool narrow =
                wg_ndim(p.p[k].tensor) > 1 && !((i & 1) && wg_match("*wpe*", p.p[k].name));
            ck_assert_int_eq(wg_dtype_of(p.p[k].tensor), narrow ? dtypes[i >> 2] : WG_F32);
        }
        pop(s);
        /* The stream is f32 in both; products of 16-bit weights may add in another order. */
        ck_assert(apart(wg_model_module(back), wg_model_module(m)) < 3e-6);
        wg_model *wide = wg_model_open(path, .dtype = WG_F64);
        ck_assert(apart(wg_model_module(wide), wg_model_module(m)) < 3e-6);
        wg_model_free(wide);
        wg_model_free(back);
        wg_model_free(m);
    }
}
END_TEST

int main(void)
{
    folder_make();
    const int failed = suite_run(
        "model", (const TTest *[]) { llama2c_and_gguf_give_the_same_bits_and_llama2cs_logits,
                                     shortened_weights_open_and_follow_the_story,
                                     weights_are_mapped_and_frozen_or_own_and_trainable,
                                     saved_as_gguf_the_tensors_are_the_published_ones,
                                     a_published_model_goes_through_every_format,
                                     every_architecture_comes_back,
                                     sixteen_bit_models_come_back_exactly, NULL });
    folder_remove();
    return failed;
}
