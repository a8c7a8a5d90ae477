/* Low-rank adapters in PEFT's folders: written, read, refused. */
#include "folder.h"
#include "lora_check.h"

START_TEST(what_is_saved_loads_with_the_same_bits)
{
    for (int i = 0; i < 4; i++) {
        wg_scope s = begin();
        const wg_name_table names = i == 3 ? WG_NAMES_META_LLAMA : WG_NAMES_HF_LLAMA;
        wg_module *m = i ? llama(names, i >= 2) : gpt2();
        wg_tensor *plain = logits(m);
        static const char *const patterns[] = { "*.mlp.*,*.attn.c_attn,lm_head", "model.layers.1.*",
                                                "*layers.*", "*layers.*" };
        ck_assert_int_eq(wg_lora_add(m, .rank = 4, .alpha = 12, .dropout = 0.25, .rslora = i == 2,
                                     .pattern = patterns[i]),
                         WG_OK);
        fill(m);
        const int64_t n = wg_lora_count(m);
        wg_tensor *want = logits(m);
        ck_assert_int_eq(wg_lora_save(m, in_folder("adapter")), WG_OK);
        fill(m); /* into adapters that are there */
        ck_assert(!same_bits(want, logits(m)));
        ck_assert_int_eq(wg_lora_load(m, in_folder("adapter")), WG_OK);
        ck_assert(same_bits(want, logits(m)));
        wg_lora_remove(m);
        ck_assert(same_bits(plain, logits(m)));
        ck_assert_int_eq(wg_lora_load(m, in_folder("adapter")), WG_OK);
        ck_assert_int_eq(wg_lora_count(m), n);
        ck_assert(same_bits(want, logits(m)));
        wg_module_free(m);
        pop(s);
    }
}
END_TEST

static bool file_says(const char *path, const char *text)
{
    size_t n;
    char *all = get_file(path, &n);
    const bool found = strstr(all, text) != NULL;
    if (!found) printf("%s", all);
    free(all);
    return found;
}

START_TEST(names_in_the_file_are_those_of_peft)
{
    wg_scope s = begin();
    char config[1280];
    strcpy(config, format("%s/adapter_config.json", in_folder("adapter")));
    wg_module *m = llama(WG_NAMES_META_LLAMA, true);
    ck_assert_int_eq(wg_lora_add(m, .pattern = "*.wq,*.w2,layers.0.feed_forward.w3"), WG_OK);
    ck_assert_int_eq(wg_lora_save(m, in_folder("adapter")), WG_OK);
    wg_safetensors *f =
        wg_safetensors_open(format("%s/adapter_model.safetensors", in_folder("adapter")));
    ck_assert_int_eq(wg_safetensors_count(f), 10);
    wg_tensor *t =
        wg_safetensors_get(f, "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight");
    ck_assert(t && wg_size(t, 0) == 8 && wg_size(t, 1) == 32);
    t = wg_safetensors_get(f, "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight");
    ck_assert(t && wg_size(t, 0) == 32 && wg_size(t, 1) == 8);
    ck_assert(wg_safetensors_get(f, "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"));
    wg_safetensors_close(f);
    ck_assert(file_says(config, "\"target_modules\": [\n    \"q_proj\",\n"
                                "    \"model.layers.0.mlp.up_proj\",\n    \"down_proj\"\n  ]"));
    ck_assert(file_says(config, "\"peft_type\": \"LORA\""));
    ck_assert(file_says(config, "\"lora_alpha\": 8,"));
    ck_assert(file_says(config, "\"fan_in_fan_out\": false"));
    wg_module_free(m);
    m = gpt2();
    ck_assert_int_eq(wg_lora_add(m), WG_OK);
    ck_assert_int_eq(wg_lora_save(m, in_folder("adapter")), WG_OK);
    f = wg_safetensors_open(format("%s/adapter_model.safetensors", in_folder("adapter")));
    ck_assert(wg_safetensors_get(f, "base_model.model.transformer.h.1.attn.c_attn.lora_B.weight"));
    wg_safetensors_close(f);
    ck_assert(file_says(config, "\"fan_in_fan_out\": true"));
    wg_module_free(m);
    pop(s);
}
END_TEST

/* The rows of q and k as another convention of rope has them; heads of 8, so that the way there is not the
 * way back. */
static void copy_to_halves(wg_module *from, wg_module *to)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    const wg_params a = wg_module_params(from), b = wg_module_params(to);
    ck_assert_int_eq(a.n, b.n);
    for (int64_t i = 0; i < a.n; i++) {
        wg_tensor *t = a.p[i].tensor;
        const int64_t heads = wg_match("*.wq.weight", a.p[i].name)   ? 4
                              : wg_match("*.wk.weight", a.p[i].name) ? 2
                                                                     : 0;
        const wg_dims shape = wg_shape(t);
        if (heads)
            t = wg_reshape(wg_transpose(wg_reshape(t, WG_DIMS(heads, 4, 2, 32)), 1, 2), shape);
        ck_assert_int_eq(wg_assign(b.p[i].tensor, t), WG_OK);
    }
    pop(s);
}

START_TEST(adapters_of_metas_layout_serve_hugging_faces)
{
    wg_scope s = begin();
    wg_module *meta = llama(WG_NAMES_META_LLAMA, true), *hf = llama(WG_NAMES_HF_LLAMA, false);
    copy_to_halves(meta, hf);
    ck_assert_double_lt(distance(logits(hf), logits(meta)), 1e-5);
    ck_assert_int_eq(wg_lora_add(meta, .rank = 3, .pattern = "layers.*,output"), WG_OK);
    fill(meta);
    wg_tensor *want = logits(meta), *plain = logits(hf);
    ck_assert_int_eq(wg_lora_save(meta, in_folder("adapter")), WG_OK);
    ck_assert_int_eq(wg_lora_load(hf, in_folder("adapter")), WG_OK);
    ck_assert_double_gt(distance(plain, want), 1e-2);
    ck_assert_double_lt(distance(logits(hf), want), 1e-5);
    wg_module_free(meta);
    wg_module_free(hf);
    pop(s);
}
END_TEST

/* A config that differs from a good one in one place. */
static void put_config(const char *folder, const char *change)
{
    put_text(format("%s/adapter_config.json", folder),
             format("{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, %s%s"
                    "\"bias\": \"none\"}",
                    change, *change ? ", " : ""));
}

START_TEST(contradictions_are_refused_and_change_nothing)
{
    static const struct {
        const char *change;
        wg_status code;
        const char *message;
    } bad[] = {
        { "\"use_dora\": true", WG_EFORMAT, "\"use_dora\" is not supported" },
        { "\"modules_to_save\": [\"lm_head\"]", WG_EFORMAT, "\"modules_to_save\"" },
        { "\"rank_pattern\": {\"q\": 2}", WG_EFORMAT, "\"rank_pattern\"" },
        { "\"init_lora_weights\": \"pissa\"", WG_EFORMAT, "changes the base weights" },
        { "\"target_modules\": [\"c_proj\"]", WG_EFORMAT, "is not among" },
        { "\"target_modules\": [\"c_attn\", \"c_proj\"]", WG_ENOTFOUND,
          "\"target_modules\" names" },
        { "\"lora_dropout\": \"x\"", WG_EFORMAT, "\"lora_dropout\" is no number" },
        { "\"lora_dropout\": 2", WG_EARG, "dropout 2" },
        { "\"use_dora\": false,", WG_EFORMAT, "no JSON" },
    };
    wg_scope s = begin();
    const char *folder = in_folder("adapter");
    wg_module *m = gpt2(), *other = llama(WG_NAMES_HF_LLAMA, false);
    ck_assert_int_eq(wg_lora_add(m, .rank = 4), WG_OK);
    fill(m);
    ck_assert_int_eq(wg_lora_save(m, folder), WG_OK);
    wg_lora_remove(m);
    const char *names = names_of(m);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_config(folder, bad[i].change);
        ck_assert_int_eq(wg_lora_load(m, folder), bad[i].code);
        fails(bad[i].code, bad[i].message);
    }
    put_text(format("%s/adapter_config.json", folder), "{\"peft_type\": \"LORA\", \"r\": 5}");
    (void)!wg_lora_load(m, folder);
    fails(WG_ESHAPE, "lora_A.weight\" is no matrix of (5, 16)");
    put_text(format("%s/adapter_config.json", folder), "{\"peft_type\": \"IA3\", \"r\": 5}");
    (void)!wg_lora_load(m, folder);
    fails(WG_EFORMAT, "\"peft_type\" is IA3");
    put_text(format("%s/adapter_config.json", folder), "[]");
    (void)!wg_lora_load(m, folder);
    fails(WG_EFORMAT, "no JSON object");
    (void)!wg_lora_load(m, in_folder("nowhere"));
    fails(WG_ENOTFOUND, "adapter_config.json");
    put_config(folder, "");
    (void)!wg_lora_load(other, folder);
    fails(WG_ENOTFOUND, "belongs to no linear of the model");
    ck_assert_str_eq(names, names_of(m));
    ck_assert_int_eq(wg_lora_add(m, .rank = 4, .alpha = 16), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_EARG, "rank 4 and alpha 8; the model's adapters have 4 and 16");
    wg_lora_remove(m);
    ck_assert_int_eq(wg_lora_add(m, .rank = 4, .pattern = "*.h.0.attn.c_attn"), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ENOTFOUND, "transformer.h.1.attn.c_attn has no adapter in the model");
    ck_assert_int_eq(wg_lora_add(m, .rank = 5, .pattern = "*.h.1.attn.c_attn"), WG_OK);
    (void)!wg_lora_save(m, folder);
    fails(WG_EARG, "a file has one");
    wg_lora_remove(m);
    (void)!wg_lora_save(m, folder);
    fails(WG_EARG, "the model has no adapters");
    ck_assert_int_eq(wg_lora_load(m, folder), WG_OK);
    ck_assert_int_eq(wg_lora_count(m), 2);
    wg_module_free(m);
    wg_module_free(other);
    pop(s);
}
END_TEST

START_TEST(missing_and_superfluous_tensors_are_named)
{
    wg_scope s = begin();
    const char *folder = in_folder("adapter"),
               *path = format("%s/adapter_model.safetensors", in_folder("adapter"));
    wg_module *m = gpt2();
#define AT "base_model.model.transformer.h.0.attn.c_attn"
    wg_param_ref p[3] = { { AT ".lora_A.weight", wg_ones(WG_DIMS(4, 16)), NULL },
                          { AT ".lora_B.weight", wg_ones(WG_DIMS(48, 4)), NULL },
                          { "base_model.model.transformer.wte.lora_A.weight", wg_ones(WG_DIMS(1)),
                            NULL } };
    put_config(folder, "");
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 1, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ENOTFOUND, "transformer.h.0.attn.c_attn has lora_A.weight and no lora_B.weight");
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 3, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ENOTFOUND, "transformer.wte.lora_A.weight\" belongs to no linear");
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 0, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ENOTFOUND, "there are no tensors in it");
    ck_assert_int_eq(wg_lora_count(m), 0);
    p[2].name = AT ".base_layer.weight"; /* as PEFT saves it of an lm_head */
    p[2].tensor = wg_affine(wg_module_tensor(m, "transformer.h.0.attn.c_attn.weight"), 1.1, 0);
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 3, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_EFORMAT, "is not the model's transformer.h.0.attn.c_attn.weight: another base");
    p[2].tensor = wg_transpose(p[2].tensor, 0, 1);
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 3, p }, NULL, 0), WG_OK);
    (void)!wg_lora_load(m, folder);
    fails(WG_ESHAPE, "has another shape than the model's");
    p[2].tensor = wg_cast(wg_module_tensor(m, "transformer.h.0.attn.c_attn.weight"), WG_BF16);
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 3, p }, NULL, 0), WG_OK);
    ck_assert_int_eq(wg_lora_load(m, folder), WG_OK);
    wg_lora_remove(m);
    p[0].tensor = wg_cast(p[0].tensor, WG_BF16); /* as 16-bit training saves them */
    ck_assert_int_eq(wg_safetensors_write(path, (wg_params) { 2, p }, NULL, 0), WG_OK);
    ck_assert_int_eq(wg_lora_load(m, folder), WG_OK);
    ck_assert_int_eq(wg_lora_count(m), 1);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(damaged_folders_neither_crash_nor_leak)
{
    wg_scope s = begin();
    const char *folder = in_folder("adapter");
    wg_module *m = gpt2();
    ck_assert_int_eq(wg_lora_add(m, .rank = 2), WG_OK);
    ck_assert_int_eq(wg_lora_save(m, folder), WG_OK);
    wg_lora_remove(m);
    const int64_t tensors = live();
    uint64_t random = 7;
    for (int file = 0; file < 2; file++) {
        char path[1280];
        strcpy(path,
               format("%s/%s", folder, file ? "adapter_config.json" : "adapter_model.safetensors"));
        size_t n;
        char *good = get_file(path, &n), *bad = malloc(n);
        const size_t header = n < 600 ? n : 600;
        for (size_t i = 0; i < 2 * header; i++) {
            memcpy(bad, good, n);
            random = random * 6364136223846793005u + 1442695040888963407u;
            if (i % 2) bad[i / 2] = (char)(bad[i / 2] ^ (char)(1 << (random >> 40) % 8));
            put_file(path, bad, i % 2 ? n : i / 2);
            if (wg_lora_load(m, folder) != WG_OK) {
                ck_assert_int_eq(wg_lora_count(m), (wg_error_clear(), 0));
            }
            wg_lora_remove(m);
            ck_assert_int_eq(live(), tensors);
        }
        put_file(path, good, n);
        free(good);
        free(bad);
    }
    ck_assert_int_eq(wg_lora_load(m, folder), WG_OK);
    wg_module_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_saved_loads_with_the_same_bits,
        names_in_the_file_are_those_of_peft,
        adapters_of_metas_layout_serve_hugging_faces,
        contradictions_are_refused_and_change_nothing,
        missing_and_superfluous_tensors_are_named,
        damaged_folders_neither_crash_nor_leak,
        NULL,
    };
    folder_make();
    const int failed = suite_run("lora_files", tests);
    folder_remove();
    return failed;
}
