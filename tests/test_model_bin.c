/* llama2.c's and llm.c's files, made here by hand as their own programs write them, open to the same
 * bits. */
#include "model_sample.h"

/* Appends t in dtype d; returns its bytes. */
static size_t append(FILE *f, wg_tensor *t, wg_dtype d)
{
    const size_t bytes = (size_t)wg_numel(t) * wg_dtype_size(d);
    void *data = malloc(bytes);
    ck_assert_int_eq(wg_read(t, data, bytes, d), WG_OK);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    free(data);
    return bytes;
}

/* Each kind of all layers in turn; '#' stands for the layer. */
static void append_kinds(FILE *f, wg_module *m, const char *const *kinds, int n, int layers,
                         wg_dtype d)
{
    for (int k = 0; k < n; k++) {
        const char *hash = strchr(kinds[k], '#');
        for (int layer = 0; layer < (hash ? layers : 1); layer++)
            append(f,
                   wg_module_tensor(m, hash ? format("%.*s%d%s", (int)(hash - kinds[k]), kinds[k],
                                                     layer, hash + 1)
                                            : kinds[k]),
                   d);
    }
}

static void append_zeros(FILE *f, size_t bytes)
{
    while (bytes--) fputc(0x40, f); /* what nobody may read */
}

/* As train_gpt2.py's write_model: kinds stacked over layers, a padded vocabulary. */
static void write_llmc(const char *path, wg_module *m, wg_dtype d)
{
    static const char *const embedding[] = { "transformer.wte.weight" };
    static const char *const kinds[] = {
        "transformer.wpe.weight",
        "transformer.h.#.ln_1.weight",
        "transformer.h.#.ln_1.bias",
        "transformer.h.#.attn.c_attn.weight",
        "transformer.h.#.attn.c_attn.bias",
        "transformer.h.#.attn.c_proj.weight",
        "transformer.h.#.attn.c_proj.bias",
        "transformer.h.#.ln_2.weight",
        "transformer.h.#.ln_2.bias",
        "transformer.h.#.mlp.c_fc.weight",
        "transformer.h.#.mlp.c_fc.bias",
        "transformer.h.#.mlp.c_proj.weight",
        "transformer.h.#.mlp.c_proj.bias",
        "transformer.ln_f.weight",
        "transformer.ln_f.bias",
    };
    const int32_t header[256] = { 20240326, d == WG_F32 ? 3 : 5, 24, 19, 2, 4, 32, 24 };
    FILE *f = fopen(path, "wb");
    fwrite(header, sizeof header, 1, f);
    append_kinds(f, m, embedding, 1, 2, d);
    append_zeros(f, 5 * 32 * wg_dtype_size(d));
    append_kinds(f, m, kinds, sizeof kinds / sizeof *kinds, 2, d);
    fclose(f);
}

START_TEST(llm_c_files_of_both_versions)
{
    static const wg_dtype dtypes[] = { WG_F32, WG_BF16 };
    const wg_transformer_config c = small_gpt2();
    for (int i = 0; i < 2; i++) {
        wg_module *m = random_transformer(&c);
        wg_module_cast(m, dtypes[i]);
        wg_module_cast(m, WG_F32);
        write_llmc(in_folder("llmc.bin"), m, dtypes[i]);
        wg_model *back = wg_model_open(in_folder("llmc.bin"), .dtype = WG_F32);
        expect_no_error();
        ck_assert_int_eq(wg_model_kind(back), WG_FILE_LLMC);
        ck_assert(apart(wg_model_module(back), m) == 0);
        wg_model_free(back);
        wg_module_free(m);
    }
}
END_TEST

/* As export.py's legacy_export: seven numbers, kinds stacked over layers, the table of angles. */
static void write_llama2c(const char *path, wg_module *m, bool untied)
{
    static const char *const kinds[] = {
        "tok_embeddings.weight",
        "layers.#.attention_norm.weight",
        "layers.#.attention.wq.weight",
        "layers.#.attention.wk.weight",
        "layers.#.attention.wv.weight",
        "layers.#.attention.wo.weight",
        "layers.#.ffn_norm.weight",
        "layers.#.feed_forward.w1.weight",
        "layers.#.feed_forward.w2.weight",
        "layers.#.feed_forward.w3.weight",
        "norm.weight",
    };
    static const char *const head[] = { "output.weight" };
    const int32_t header[] = { 32, 44, 2, 4, 2, untied ? -19 : 19, 24 };
    FILE *f = fopen(path, "wb");
    fwrite(header, sizeof header, 1, f);
    append_kinds(f, m, kinds, sizeof kinds / sizeof *kinds, 2, WG_F32);
    append_zeros(f, 24 * 8 * sizeof(float));
    if (untied) append_kinds(f, m, head, 1, 2, WG_F32);
    fclose(f);
}

START_TEST(llama2_c_files_tied_and_untied)
{
    for (int untied = 0; untied < 2; untied++) {
        wg_transformer_config c = small_llama();
        c.names = WG_NAMES_META_LLAMA;
        c.rope_adjacent = true;
        c.untied = untied;
        wg_module *m = random_transformer(&c);
        write_llama2c(in_folder("llama2c.bin"), m, untied);
        wg_model *back = wg_model_open(in_folder("llama2c.bin"));
        expect_no_error();
        ck_assert_int_eq(wg_model_kind(back), WG_FILE_LLAMA2C);
        ck_assert_ptr_null(wg_model_tokenizer(back));
        ck_assert(apart(wg_model_module(back), m) == 0);
        wg_model_free(back);
        wg_module_free(m);
    }
}
END_TEST

/* tokenizer.bin, or the only tok*.bin beside it. */
START_TEST(the_tokenizer_beside_a_llama2_c_file_is_found)
{
    const char *from = data_file("stories260K/tok512.bin"),
               *model = data_file("stories260K/stories260K.bin");
    if (!from || !model) return;
    size_t bytes;
    mkdir(in_folder("beside"), 0777);
    char *data = get_file(model, &bytes);
    put_file(in_folder("beside/m.bin"), data, bytes);
    free(data);
    data = get_file(from, &bytes);
    static const char *const names[] = { "beside/tok_a.bin", "beside/tok_b.bin",
                                         "beside/tokenizer.bin" };
    for (int i = 0; i < 3; i++) {
        put_file(in_folder(names[i]), data, bytes);
        wg_model *m = wg_model_open(in_folder("beside/m.bin"));
        expect_no_error();
        ck_assert_int_eq(wg_tokenizer_size(wg_model_tokenizer(m)), i == 1 ? 0 : 512);
        wg_model_free(m);
    }
    free(data);
    wg_transformer_config c = small_llama(); /* 19 tokens, beside a tokenizer of 512 */
    c.names = WG_NAMES_META_LLAMA;
    wg_module *other = random_transformer(&c);
    write_llama2c(in_folder("beside/m.bin"), other, true);
    ck_assert_ptr_null(wg_model_open(in_folder("beside/m.bin")));
    expect_error(WG_EFORMAT, format("%s: a tokenizer of 512 tokens, a model of 19",
                                    in_folder("beside/tokenizer.bin")));
    wg_module_free(other);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("model_bin",
                  (const TTest *[]) { llm_c_files_of_both_versions, llama2_c_files_tied_and_untied,
                                      the_tokenizer_beside_a_llama2_c_file_is_found, NULL });
    folder_remove();
    return failed;
}
