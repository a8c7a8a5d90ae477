/* Damaged models: cut at any byte and changed at random, every format gives an error or a model
 * that runs. */
#include "damage.h"
#include "model_sample.h"
#include "tensor/internal.h"

/* Opens it and runs three tokens; whether it opened. */
static bool try_model(const char *path)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_model *m = wg_model_open(path);
    const bool opened = m != NULL;
    if (!opened && !wg_error_code()) ck_abort_msg("refused without an error");
    if (opened) {
        const int64_t ids[] = { 0, 0, 0 }; /* a vocabulary has one token at least */
        const int64_t T = wg_transformer_config_of(wg_model_module(m))->block < 3 ? 1 : 3;
        wg_tensor *y = wg_forward(wg_model_module(m),
                                  wg_from(ids, (size_t)T * sizeof *ids, WG_I64, WG_DIMS(1, T)));
        if (wg_is_error(y)) ck_abort_msg("%s", wg_error_get()->message);
    }
    wg_model_free(m);
    wg_scope_return(s, NULL);
    wg_error_clear();
    return opened;
}

/* ROUNDS damaged versions of the file at `path` (part of the model at `model`), changes among its
 * first `reach` bytes. */
static void damage_file(const char *model, const char *path, size_t reach, int rounds)
{
    size_t bytes;
    char *file = get_file(path, &bytes), *copy = malloc(2 * bytes);
    int opened = 0;
    wg_memory before = { 0 };
    ck_assert(try_model(model));
    for (int i = 0; i < rounds; i++) {
        memcpy(copy, file, bytes);
        put_file(path, copy, damage(copy, bytes, i % 4 ? reach : bytes));
        opened += try_model(model);
        if (i == 100) before = wg_memory_stats(wg_cpu());
    }
    const wg_memory after = wg_memory_stats(wg_cpu());
    ck_assert_int_eq(after.current, before.current);
    ck_assert_int_eq(after.tensors, before.tensors);
    printf("%s: %d damaged files, %d still opened\n", strrchr(path, '/') + 1, rounds, opened);
    put_file(path, file, bytes);
    free(copy);
    free(file);
}

/* Cut at every `step`th byte and around the end, it is refused. */
static void cut_file(const char *model, const char *path, size_t step)
{
    size_t bytes;
    char *file = get_file(path, &bytes);
    for (size_t n = 0; n<bytes; n += n + 64> bytes || n < 64 ? 1 : step) {
        put_file(path, file, n);
        ck_assert_msg(!try_model(model), "%s opened when cut at byte %zu of %zu", path, n, bytes);
    }
    put_file(path, file, bytes);
    ck_assert(try_model(model));
    free(file);
}

/* A GGUF and a folder of the same small model. */
static void save_sample(const wg_transformer_config *c, const char *path)
{
    wg_model *m = wg_model_wrap(random_transformer(c), NULL);
    ck_assert_int_eq(wg_model_save(m, path), WG_OK);
    wg_model_free(m);
}

static void put_ints(const char *path, const int32_t *header, size_t n, size_t floats)
{
    const size_t bytes = n * sizeof *header + floats * sizeof(float);
    char *file = malloc(bytes);
    memcpy(file, header, n * sizeof *header);
    for (size_t i = 0; i < floats; i++) {
        const float v = (float)(i % 17) / 100;
        memcpy(file + n * sizeof *header + i * sizeof v, &v, sizeof v);
    }
    put_file(path, file, bytes);
    free(file);
}

/* dim 8, hidden 12, 1 layer, 2 heads, 1 key-value head, 5 tokens, 6 positions, tied. */
static const char *llama2c_file(void)
{
    const int32_t header[] = { 8, 12, 1, 2, 1, 5, 6 };
    const size_t layer = 8 + 64 + 32 + 32 + 64 + 8 + 3 * 96;
    put_ints(in_folder("llama2c.bin"), header, 7, 40 + layer + 8 + 6 * 4);
    return in_folder("llama2c.bin");
}

/* 6 positions, 5 tokens padded to 8, 1 layer, 2 heads, 8 channels. */
static const char *llmc_file(void)
{
    const int32_t header[256] = { 20240326, 3, 6, 5, 1, 2, 8, 8 };
    const size_t layer = 4 * 8 + 3 * 64 + 24 + 64 + 8 + 256 + 32 + 256 + 8;
    put_ints(in_folder("llmc.bin"), header, 256, 64 + 48 + layer + 16);
    return in_folder("llmc.bin");
}

START_TEST(llama2c_and_llmc_files)
{
    const char *a = llama2c_file(), *b = llmc_file();
    cut_file(a, a, 7);
    cut_file(b, b, 97);
    damage_file(a, a, 28, 2000);
    damage_file(b, b, 32, 2000);
}
END_TEST

START_TEST(gguf_files)
{
    wg_transformer_config c[] = { small_llama(), small_gpt2() };
    const char *path = in_folder("sample.gguf");
    c[0].rope_scaling = (wg_rope_scaling) { WG_ROPE_LLAMA3, 8, 1, 4, 16 };
    for (int i = 0; i < 2; i++) {
        save_sample(&c[i], path);
        cut_file(path, path, 331);
        damage_file(path, path, 3000, 4000);
    }
}
END_TEST

START_TEST(folders)
{
    wg_transformer_config c[] = { small_llama(), small_gpt2() };
    const char *path = in_folder("sample");
    c[0].rope_scaling = (wg_rope_scaling) { WG_ROPE_LLAMA3, 8, 1, 4, 16 };
    c[0].window = 4;
    for (int i = 0; i < 2; i++) {
        folder_files(path, true);
        save_sample(&c[i], path);
        damage_file(path, format("%s/config.json", path), 4000, 4000);
        cut_file(path, format("%s/config.json", path), 1);
        damage_file(path, format("%s/model.safetensors", path), 2000, 2000);
        cut_file(path, format("%s/model.safetensors", path), 331);
    }
}
END_TEST

START_TEST(what_is_no_model_is_refused)
{
    static const struct {
        const char *data, *message;
        size_t bytes;
    } files[] = { { "", "no model: neither GGUF", 0 },
                  { "GGUF", "no GGUF file", 4 },
                  { "some text that is no model at all", "no model: neither GGUF", 33 },
                  { "\2\0\0\0\0\0\0\0{}", "safetensors say nothing", 10 } };
    const char *path = in_folder("none");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        put_file(path, files[i].data, files[i].bytes);
        ck_assert_ptr_null(wg_model_open(path));
        expect_error(WG_EFORMAT, format("%s: %s", path, files[i].message));
    }
    ck_assert_ptr_null(wg_model_open(in_folder("nothing")));
    expect_error(WG_ENOTFOUND, in_folder("nothing"));
    ck_assert_ptr_null(wg_model_open(NULL));
    expect_error(WG_EARG, "model_open: no path");
    ck_assert_ptr_null(wg_model_open(path, .dtype = WG_I32));
    expect_error(WG_EARG, "model_open: no path, or a dtype");
}
END_TEST

/* Every 7th of the library's allocations: opening and saving make many. */
START_TEST(a_failed_allocation_is_an_error)
{
    const wg_transformer_config c[] = { small_llama(), small_gpt2() };
    for (int i = 0; i < 4; i++) {
        const char *path = in_folder(i & 1 ? "memory.gguf" : "memory");
        save_sample(&c[i / 2], path);
        bool struck = true;
        for (int64_t n = 1; struck; n += 7) {
            wgi_fail_alloc_after(n);
            wg_model *m = wg_model_open(path, .trainable = i & 1);
            const wg_status st = wg_model_save(m, in_folder(i & 1 ? "again" : "again.gguf"));
            struck = wgi_fail_alloc_left() == 0;
            wgi_fail_alloc_after(0);
            ck_assert_msg(struck ? st != WG_OK : st == WG_OK, "allocation %d: %s", (int)n,
                          wg_error_get() ? wg_error_get()->message : "no error");
            wg_model_free(m);
            wg_error_clear();
        }
    }
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("model_damage", (const TTest *[]) { llama2c_and_llmc_files, gguf_files, folders,
                                                      what_is_no_model_is_refused,
                                                      a_failed_allocation_is_an_error, NULL });
    folder_remove();
    return failed;
}
