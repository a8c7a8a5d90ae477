/* Models in files on a CUDA device: opened there, generating, fine-tuned, saved, as on the CPU. */
#include <stdlib.h>

#include "model_sample.h"

enum { VOCAB = 61, CONTEXT = 48, TOKENS = 24 };

static bool no_device(void)
{
    if (wg_cuda_device_count() > 0) return false;
    printf("skipped: no CUDA device\n");
    return true;
}

static const struct {
    wg_dtype type;
    const char *file;
} files[] = { { WG_F32, "f32.gguf" },
              { WG_F16, "f16.gguf" },
              { WG_Q8_0, "q8_0.gguf" },
              { WG_Q4_0, "q4_0.gguf" } };
enum { FILES = 4 };

/* Batches of two rows of a sequence that steps by `step`. */
static void learn(wg_module *m, wg_optim *o, int step, int steps, double *loss)
{
    int64_t v[50];
    for (int i = 0; i < 50; i++) v[i] = i * step % VOCAB;
    for (int i = 0; i < steps; i++) {
        const wg_scope s = wg_scope_push();
        wg_tensor *all = wg_reshape(wg_from(v, sizeof v, WG_I64, WG_DIMS(50)), WG_DIMS(2, 25));
        wg_tensor *l = wg_transformer_loss(m, wg_narrow(all, 1, 0, 24), wg_narrow(all, 1, 1, 24));
        wg_backward(l);
        wg_clip_grad_norm(o, 1);
        wg_optim_step(o);
        if (loss) loss[i] = wg_item(l);
        pop(s);
    }
}

/* The same small Llama in every type. It has learned a sequence and is sure of it: the CPU's products in 8 bits do not
 * change its text. */
static void write_files(void)
{
    wg_transformer_config c = wg_llama_config(2, 4, 2, 64, 96, VOCAB, CONTEXT);
    c.untied = true;
    wg_module *t = random_transformer(&c);
    wg_module_train(t, true);
    wg_optim *o = wg_adamw_new(t, .lr = 1e-2);
    learn(t, o, 7, 60, NULL);
    wg_optim_free(o);
    wg_module_train(t, false);
    wg_model *m = wg_model_wrap(t, NULL);
    for (int i = 0; i < FILES; i++)
        ck_assert_int_eq(wg_model_save(m, in_folder(files[i].file), .dtype = files[i].type,
                                       .kind = WG_FILE_GGUF),
                         WG_OK);
    wg_model_free(m);
}

static wg_model *open_on(wg_device d, const char *file)
{
    const wg_scope s = wg_scope_push();
    wg_use_device(d);
    wg_model *m = wg_model_open(in_folder(file), .no_tokenizer = true);
    expect_no_error();
    pop(s);
    return m;
}

static int64_t on_device(void)
{
    return wg_memory_stats(wg_cuda(0)).current;
}

/* ---- opening --------------------------------------------------------------------------------- */
START_TEST(weights_lie_on_the_device_with_the_files_bytes)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    const int64_t before = on_device();
    write_files();
    for (int i = 0; i < FILES; i++) {
        wg_model *m = open_on(wg_cuda(0), files[i].file), *here = open_on(wg_cpu(), files[i].file);
        const wg_params p = wg_module_params(wg_model_module(m)),
                        q = wg_module_params(wg_model_module(here));
        ck_assert_int_eq(p.n, q.n);
        for (int64_t k = 0; k < p.n; k++) {
            wg_tensor *there = p.p[k].tensor, *same = q.p[k].tensor;
            const wg_dtype t = wg_dtype_of(same);
            const size_t bytes =
                (size_t)(wg_numel(same) / wg_dtype_block(t)) * wg_dtype_block_bytes(t);
            ck_assert_int_eq(wg_device_of(there).kind, WG_CUDA);
            ck_assert_int_eq(wg_dtype_of(there), t);
            ck_assert(!wg_requires_grad(there));
            if (wg_ndim(there) == 2) ck_assert_int_eq(t, files[i].type);
            char *raw = wg_scope_alloc(bytes);
            ck_assert_int_eq(wg_read(there, raw, bytes, t), WG_OK);
            ck_assert_mem_eq(raw, wg_data(same), bytes);
        }
        wg_model_free(m);
        wg_model_free(here);
        ck_assert_int_eq(on_device(), before);
    }
    wg_use_device(wg_cuda(0));
    wg_model *m = wg_model_open(in_folder("f16.gguf"), .trainable = true, .no_tokenizer = true);
    wg_tensor *w = wg_module_tensor(wg_model_module(m), "lm_head.weight");
    ck_assert(wg_requires_grad(w) && wg_dtype_of(w) == WG_F32 && wg_device_of(w).kind == WG_CUDA);
    wg_model_free(m);
    pop(s);
}
END_TEST

START_TEST(a_model_that_moves_gives_the_same_logits)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    for (int i = 0; i < FILES; i++) {
        wg_model *opened = open_on(wg_cuda(0), files[i].file),
                 *moved = open_on(wg_cpu(), files[i].file);
        wg_use_device(wg_cpu());
        wg_module_to(wg_model_module(moved), wg_cuda(0));
        wg_use_device(wg_cuda(0));
        ck_assert(apart(wg_model_module(opened), wg_model_module(moved)) == 0);
        wg_use_device(wg_cpu());
        wg_module_to(wg_model_module(moved), wg_cpu());
        wg_model *here = open_on(wg_cpu(), files[i].file);
        ck_assert(apart(wg_model_module(here), wg_model_module(moved)) == 0);
        wg_model_free(here);
        wg_model_free(opened);
        wg_model_free(moved);
    }
    pop(s);
}
END_TEST

/* ---- generating ------------------------------------------------------------------------------ */

static int64_t prompt[] = { 7, 14, 21, 28, 35 };

/* The current device stays the CPU: a generation works where its model lies. */
static void text_of(wg_model *m, wg_model *draft, wg_sampling how, int64_t *out)
{
    int64_t *ids = NULL;
    wg_generation *g =
        wg_generation_new(wg_model_module(m), draft ? wg_model_module(draft) : NULL, .chunk = 3);
    ck_assert_int_eq(wg_generate(g, { prompt, 5 }, &ids, .max_tokens = TOKENS, .sampling = how),
                     TOKENS);
    memcpy(out, ids, TOKENS * sizeof *out);
    free(ids);
    wg_generation_free(g);
}

START_TEST(greedy_text_is_the_cpus)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    const int64_t before = on_device();
    for (int i = 0; i < FILES; i++) {
        wg_model *m = open_on(wg_cuda(0), files[i].file), *here = open_on(wg_cpu(), files[i].file);
        int64_t got[TOKENS], want[TOKENS], again[TOKENS];
        int others = 0;
        text_of(here, NULL, (wg_sampling) { 0 }, want);
        text_of(m, NULL, (wg_sampling) { 0 }, got);
        ck_assert_msg(memcmp(got, want, sizeof want) == 0, "%s: another text", files[i].file);
        for (int k = 1; k < TOKENS; k++) others += want[k] != want[0];
        ck_assert_int_gt(others, TOKENS / 2);
        text_of(m, here, (wg_sampling) { 0 }, again); /* the draft model on the other device */
        ck_assert_mem_eq(again, want, sizeof want);
        wg_model_free(m);
        wg_model_free(here);
        ck_assert_int_eq(on_device(), before);
    }
    pop(s);
}
END_TEST

START_TEST(a_seed_is_a_text)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    const wg_sampling how = {
        .temperature = 1.2, .top_k = 20, .top_p = 0.95, .seed = 7, .repetition_penalty = 1.1
    };
    wg_model *m = open_on(wg_cuda(0), "f32.gguf"), *here = open_on(wg_cpu(), "f32.gguf");
    int64_t got[TOKENS], want[TOKENS];
    text_of(here, NULL, how, want);
    text_of(m, NULL, how, got);
    ck_assert_mem_eq(got, want, sizeof want);
    wg_model_free(m);
    wg_model_free(here);
    pop(s);
}
END_TEST

START_TEST(batches_and_beams_are_the_cpus)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    for (int i = 0; i < FILES; i++) {
        int64_t *ids[2][2], *beams[2][3], counts[2], n[2][3];
        double scores[2][3];
        for (int k = 0; k < 2; k++) {
            wg_model *m = open_on(k ? wg_cuda(0) : wg_cpu(), files[i].file);
            wg_generation *g = wg_generation_new(wg_model_module(m));
            const wg_ids two[] = { { prompt, 5 }, { prompt + 2, 2 } };
            ck_assert_int_eq(wg_generate_batch(g, two, 2, ids[k], counts, .max_tokens = 12), WG_OK);
            ck_assert_int_eq(wg_beam_search(g, { prompt, 5 }, beams[k], n[k], scores[k], .beams = 3,
                                            .max_tokens = 8),
                             WG_OK);
            wg_generation_free(g);
            wg_model_free(m);
        }
        for (int r = 0; r < 2; r++) ck_assert_mem_eq(ids[0][r], ids[1][r], 12 * sizeof **ids[0]);
        /* the less probable ones of blocks differ by the CPU's products in 8 bits */
        for (int b = 0; b < (i < 2 ? 3 : 1); b++) {
            ck_assert_int_eq(n[0][b], n[1][b]);
            ck_assert_double_eq_tol(scores[0][b], scores[1][b], i < 2 ? 1e-3 : 0.05);
        }
        ck_assert_mem_eq(beams[0][0], beams[1][0], (size_t)n[0][0] * sizeof **beams[0]);
        for (int k = 0; k < 2; k++)
            for (int b = 0; b < 3; b++) {
                if (b < 2) free(ids[k][b]);
                free(beams[k][b]);
            }
    }
    pop(s);
}
END_TEST

START_TEST(perplexity_is_the_cpus)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    int64_t ids[120];
    for (int i = 0; i < 120; i++) ids[i] = (i * i + 3 * i) % VOCAB;
    for (int i = 0; i < FILES; i++) {
        wg_perplexity_result p[2];
        for (int k = 0; k < 2; k++) {
            wg_model *m = open_on(k ? wg_cuda(0) : wg_cpu(), files[i].file);
            ck_assert_int_eq(
                wg_perplexity(wg_model_module(m), ids, 120, &p[k], .window = 40, .stride = 20),
                WG_OK);
            wg_model_free(m);
        }
        ck_assert_int_eq(p[0].tokens, p[1].tokens);
        /* the CPU brings a few rows to 8 bits; the device rounds the weights of 16-bit models alike */
        ck_assert_double_eq_tol(p[0].perplexity, p[1].perplexity, 0.02 * p[0].perplexity);
    }
    pop(s);
}
END_TEST

/* ---- fine-tuning ----------------------------------------------------------------------------- */

/* Adapters over a frozen model learn another sequence. */
static void adapt(wg_model *m, wg_device d, int steps, double *loss)
{
    const wg_scope all = wg_scope_push();
    wg_use_device(d);
    wg_seed(3);
    wg_module *t = wg_model_module(m);
    wg_module_train(t, true);
    ck_assert_int_eq(wg_lora_add(t, .rank = 4, .alpha = 8, .pattern = "*_proj"), WG_OK);
    wg_optim *o = wg_adamw_new(t, .lr = 1e-2);
    learn(t, o, 5, steps, loss);
    wg_module_train(t, false);
    wg_optim_free(o);
    pop(all);
}

START_TEST(adapters_over_blocks_learn_as_on_the_cpu)
{
    if (no_device()) return;
    enum { STEPS = 6 };
    const wg_scope s = wg_scope_push();
    const int64_t before = on_device();
    for (int i = 1; i < FILES; i++) {
        double loss[2][STEPS];
        wg_model *m[2] = { NULL };
        for (int k = 0; k < 2; k++) {
            m[k] = open_on(k ? wg_cuda(0) : wg_cpu(), files[i].file);
            adapt(m[k], k ? wg_cuda(0) : wg_cpu(), STEPS, loss[k]);
        }
        ck_assert_double_lt(loss[0][STEPS - 1], loss[0][0] - 0.1);
        for (int n = 0; n < STEPS; n++)
            ck_assert_msg(fabs(loss[0][n] - loss[1][n]) < 1e-3 * loss[0][0], "%s step %d: %g, %g",
                          files[i].file, n, loss[1][n], loss[0][n]);
        /* written from the device, read by the CPU */
        ck_assert_int_eq(wg_lora_save(wg_model_module(m[1]), in_folder("adapter")), WG_OK);
        wg_model *loaded = open_on(wg_cpu(), files[i].file);
        ck_assert_int_eq(wg_lora_load(wg_model_module(loaded), in_folder("adapter")), WG_OK);
        ck_assert_int_eq(wg_lora_merge(wg_model_module(m[1])), WG_OK);
        ck_assert_int_eq(wg_lora_merge(wg_model_module(loaded)), WG_OK);
        ck_assert_int_eq(wg_model_save(m[1], in_folder("merged"), .dtype = WG_F32), WG_OK);
        wg_model *merged = open_on(wg_cpu(), "merged");
        wg_module_cast(wg_model_module(loaded), WG_F32); /* no products in 8 bits */
        ck_assert_double_le(apart(wg_model_module(merged), wg_model_module(loaded)), 1e-5);
        wg_model_free(merged);
        wg_model_free(loaded);
        for (int k = 0; k < 2; k++) wg_model_free(m[k]);
        ck_assert_int_eq(on_device(), before);
    }
    pop(s);
}
END_TEST

static bool same_files(const char *a, const char *b)
{
    size_t n, k;
    char *x = get_file(a, &n), *y = get_file(b, &k);
    const bool same = n == k && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return same;
}

START_TEST(files_from_the_device_are_the_cpus)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    static const wg_dtype as[] = { 0, WG_Q8_0, WG_F16 };
    for (int i = 0; i < FILES; i++)
        for (int k = 0; k < 3; k++) {
            wg_model *m = open_on(wg_cuda(0), files[i].file),
                     *here = open_on(wg_cpu(), files[i].file);
            ck_assert_int_eq(wg_model_save(m, in_folder("there.gguf"), .dtype = as[k]), WG_OK);
            ck_assert_int_eq(wg_model_save(here, in_folder("here.gguf"), .dtype = as[k]), WG_OK);
            ck_assert(same_files(in_folder("there.gguf"), in_folder("here.gguf")));
            wg_model_free(m);
            wg_model_free(here);
        }
    pop(s);
}
END_TEST

START_TEST(linears_quantise_where_they_lie)
{
    if (no_device()) return;
    const wg_scope s = wg_scope_push();
    wg_model *m = open_on(wg_cuda(0), "f32.gguf"), *blocks = open_on(wg_cuda(0), "q4_0.gguf");
    wg_module_quantize(wg_model_module(m), NULL, WG_Q4_0);
    wg_tensor *w = wg_module_tensor(wg_model_module(m), "lm_head.weight"),
              *same = wg_module_tensor(wg_model_module(blocks), "lm_head.weight");
    expect_no_error();
    ck_assert(wg_device_of(w).kind == WG_CUDA && wg_dtype_of(w) == WG_Q4_0);
    ck_assert_double_eq(
        wg_item(wg_max(wg_abs(wg_sub(wg_cast(w, WG_F32), wg_cast(same, WG_F32))), WG_ALL, false)),
        0);
    wg_model_free(m);
    wg_model_free(blocks);
    pop(s);
}
END_TEST

int main(void)
{
    folder_make();
    const TTest *const tests[] = {
        weights_lie_on_the_device_with_the_files_bytes,
        a_model_that_moves_gives_the_same_logits,
        greedy_text_is_the_cpus,
        a_seed_is_a_text,
        batches_and_beams_are_the_cpus,
        perplexity_is_the_cpus,
        adapters_over_blocks_learn_as_on_the_cpu,
        files_from_the_device_are_the_cpus,
        linears_quantise_where_they_lie,
        NULL,
    };
    const int status = suite_run("cuda models", tests);
    folder_remove();
    return status;
}
