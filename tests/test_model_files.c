/* Hugging Face folders made here by hand, as transformers writes them; what contradicts itself is
 * refused by name; saving is whole or not at all. */
#include "model_sample.h"

/* ---- folders --------------------------------------------------------------------------------- */
static const char gpt2_json[] =
    "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":4,\"n_embd\":32,\"vocab_size\":19,"
    "\"n_positions\":24,\"layer_norm_epsilon\":1e-05,\"activation_function\":\"gelu_new\"%s}";
static const char llama_json[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"num_key_value_heads\":2,\"hidden_size\":32,\"intermediate_size\":44,\"vocab_size\":19,"
    "\"max_position_embeddings\":24,\"rms_norm_eps\":1e-05,\"hidden_act\":\"silu\"%s}";

enum { BARE = 1, BUFFERS = 2, SHARDS = 4, HEAD_TOO = 8 };

/* The tensors of m as transformers names and lays them out; to[i] says which of two files. */
typedef struct {
    wg_param_ref p[80];
    int64_t n;
} tensors;

static void put(tensors *t, const char *name, wg_tensor *x)
{
    t->p[t->n++] = (wg_param_ref) { .name = strdup(name), .tensor = x };
}

static void collect(tensors *t, wg_module *m, wg_dtype d, unsigned how)
{
    const wg_params all = wg_module_params(m);
    for (int64_t i = 0; i < all.n; i++) {
        const char *name = all.p[i].name;
        wg_tensor *x = wg_cast(wg_detach(all.p[i].tensor), d);
        if (wg_match("transformer.h.*.c_*.weight", name)) x = wg_transpose(x, 0, 1);
        if ((how & BARE) && strncmp(name, "lm_head", 7) != 0) name = strchr(name, '.') + 1;
        put(t, name, x);
        if ((how & HEAD_TOO) && i == 0) put(t, "lm_head.weight", x);
    }
    if (!(how & BUFFERS)) return;
    put(t, "transformer.h.0.attn.bias", wg_ones(WG_DIMS(1, 1, 24, 24)));
    put(t, "transformer.h.1.attn.masked_bias", wg_full(WG_DIMS(), -1e4));
    put(t, "model.layers.0.self_attn.rotary_emb.inv_freq", wg_ones(WG_DIMS(4)));
}

static void write_folder(const char *path, const char *json, wg_module *m, wg_dtype d, unsigned how)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    tensors t = { .n = 0 };
    collect(&t, m, d, how);
    folder_files(path, true);
    mkdir(path, 0777);
    put_text(format("%s/config.json", path), json);
    const int64_t first = how & SHARDS ? t.n / 3 : t.n;
    const char *one = how & SHARDS ? "model-00001-of-00002.safetensors" : "model.safetensors";
    ck_assert_int_eq(
        wg_safetensors_write(format("%s/%s", path, one), (wg_params) { first, t.p }, NULL, 0),
        WG_OK);
    if (how & SHARDS) {
        char index[8192] = "{\"metadata\":{\"total_size\":1},\"weight_map\":{";
        for (int64_t i = 0; i < t.n; i++)
            snprintf(index + strlen(index), sizeof index - strlen(index),
                     "%s\"%s\":\"model-0000%d-of-00002.safetensors\"", i ? "," : "", t.p[i].name,
                     i < first ? 1 : 2);
        strcat(index, "}}");
        put_text(format("%s/model.safetensors.index.json", path), index);
        ck_assert_int_eq(wg_safetensors_write(format("%s/model-00002-of-00002.safetensors", path),
                                              (wg_params) { t.n - first, t.p + first }, NULL, 0),
                         WG_OK);
    }
    for (int64_t i = 0; i < t.n; i++) free((char *)(uintptr_t)t.p[i].name);
    pop(s);
}

START_TEST(folders_of_every_form_open_to_the_same_bits)
{
    static const unsigned forms[] = { 0, BARE, BUFFERS, SHARDS, HEAD_TOO, SHARDS | BARE | BUFFERS };
    static const wg_dtype dtypes[] = { WG_F32, WG_BF16, WG_F16 };
    wg_transformer_config configs[] = { small_gpt2(), small_llama() };
    configs[1].untied = false;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 6 * 3; i++) {
            wg_module *m = random_transformer(&configs[k]);
            wg_module_cast(m, dtypes[i / 6]);
            const char *json =
                k ? format(llama_json, ",\"tie_word_embeddings\":true") : format(gpt2_json, "");
            write_folder(in_folder("hf"), json, m, dtypes[i / 6], forms[i % 6]);
            wg_module_cast(m, WG_F32);
            wg_model *back = wg_model_open(in_folder("hf"), .dtype = WG_F32);
            expect_no_error();
            ck_assert_int_eq(wg_model_kind(back), WG_FILE_HF);
            ck_assert(apart(wg_model_module(back), m) == 0);
            wg_model_free(back);
            wg_module_free(m);
        }
    }
}
END_TEST

/* A field, and what must then be said; %s: nothing changes in the tensors. */
static const struct {
    bool llama;
    const char *fields, *message; /* behind "PATH/config.json: " or "PATH: " */
    wg_status code;
} contradictions[] = {
    { false, ",\"scale_attn_weights\":false", "/config.json: \"scale_attn_weights\": false",
      WG_EFORMAT },
    { false, ",\"scale_attn_by_inverse_layer_idx\":true",
      "/config.json: \"scale_attn_by_inverse_layer_idx\": true", WG_EFORMAT },
    { false, ",\"add_cross_attention\":true", "/config.json: \"add_cross_attention\": true",
      WG_EFORMAT },
    { false, ",\"n_inner\":100",
      ": tensor \"transformer.h.0.mlp.c_fc.weight\" is (32, 128), the configuration says (32, 100)",
      WG_ESHAPE },
    { false, ",\"tie_word_embeddings\":false", ": it lacks the tensor \"lm_head.weight\"",
      WG_ENOTFOUND },
    { false, ",\"quantization_config\":{\"bits\":4}", "/config.json: \"quantization_config\"",
      WG_EFORMAT },
    { true, ",\"attention_bias\":true", "/config.json: \"attention_bias\": true without mlp_bias",
      WG_EFORMAT },
    { true, ",\"attention_bias\":true,\"mlp_bias\":true",
      ": it lacks the tensor \"model.layers.0.self_attn.q_proj.bias\"", WG_ENOTFOUND },
    { true, ",\"head_dim\":16",
      ": tensor \"model.layers.0.self_attn.q_proj.weight\" is (32, 32), the configuration says (64, "
      "32)",
      WG_ESHAPE },
    { true, ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2}",
      "/config.json: \"rope_scaling\": yarn", WG_EFORMAT },
    { true, ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}",
      "/config.json: \"rope_scaling\": dynamic", WG_EFORMAT },
    { true, ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8}",
      "/config.json: rope's scaling llama3 lacks", WG_EFORMAT },
    { true, ",\"rope_scaling\":{\"type\":\"linear\"}",
      "/config.json: \"rope_scaling\" has no positive factor", WG_EFORMAT },
    { true, ",\"partial_rotary_factor\":0.5", "/config.json: \"partial_rotary_factor\"",
      WG_EFORMAT },
    { true, ",\"rope_theta\":\"x\"", "/config.json: \"rope_theta\" is no number", WG_EFORMAT },
    { true, ",\"tie_word_embeddings\":1", "/config.json: \"tie_word_embeddings\" is no true or",
      WG_EFORMAT },
    { true, ",\"tie_word_embeddings\":true",
      ": tie_word_embeddings is true, and lm_head.weight is not the embedding", WG_EFORMAT },
};

START_TEST(a_configuration_that_contradicts_its_tensors_is_refused_by_name)
{
    wg_transformer_config configs[] = { small_gpt2(), small_llama() };
    wg_module *m[] = { random_transformer(&configs[0]), random_transformer(&configs[1]) };
    const char *path = in_folder("bad");
    for (size_t i = 0; i < sizeof contradictions / sizeof *contradictions; i++) {
        const bool llama = contradictions[i].llama;
        const char *json = llama ? format(llama_json, contradictions[i].fields)
                                 : format(gpt2_json, contradictions[i].fields);
        write_folder(path, json, m[llama], WG_F32, 0);
        ck_assert_msg(wg_model_open(path) == NULL, "opened: %s", contradictions[i].fields);
        expect_error(contradictions[i].code, format("%s%s", path, contradictions[i].message));
    }
    wg_module_free(m[0]);
    wg_module_free(m[1]);
}
END_TEST

/* Changes one text in a configuration. */
static const char *with(const char *json, const char *from, const char *to)
{
    static char out[2048];
    const char *at = strstr(json, from);
    ck_assert_msg(at != NULL, "%s", from);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - json), json, to, at + strlen(from));
    return out;
}

START_TEST(wrong_folders_are_refused_by_name)
{
    static const struct {
        const char *from, *to, *message;
        wg_status code;
    } changes[] = {
        { "\"llama\"", "\"bert\"", "/config.json: \"model_type\": bert is not supported",
          WG_EFORMAT },
        { "\"model_type\":\"llama\",", "", "/config.json: \"model_type\": none", WG_EFORMAT },
        { "\"hidden_size\":32", "\"hidden_size\":64",
          ": tensor \"model.embed_tokens.weight\" is (19, 32), the configuration says (19, 64)",
          WG_ESHAPE },
        { "\"num_hidden_layers\":2", "\"num_hidden_layers\":3",
          ": it lacks the tensor \"model.layers.2.input_layernorm.weight\"", WG_ENOTFOUND },
        { "\"num_hidden_layers\":2", "\"num_hidden_layers\":1",
          ": its configuration has no place for the tensor \"model.layers.1.", WG_EFORMAT },
        { "\"num_hidden_layers\":2", "\"num_hidden_layers\":1000000000",
          ": it lacks the tensor \"model.layers.2.input_layernorm.weight\"", WG_ENOTFOUND },
        { "\"num_attention_heads\":4", "\"num_attention_heads\":0",
          "/config.json: the number of heads is 0", WG_EFORMAT },
        { "\"num_key_value_heads\":2", "\"num_key_value_heads\":3",
          "/config.json: 4 heads share 3 key-value heads", WG_EFORMAT },
        { "\"vocab_size\":19", "\"vocab_size\":-1", "/config.json: the number of vocabulary is -1",
          WG_EFORMAT },
        { "\"vocab_size\":19", "\"vocab_size\":19.5", "/config.json: \"vocab_size\" is no integer",
          WG_EFORMAT },
        { "\"vocab_size\":19,", "", "/config.json: \"vocab_size\" is missing", WG_EFORMAT },
        { "\"silu\"", "\"mish\"", "/config.json: \"hidden_act\": mish", WG_EFORMAT },
        { "1e-05", "0", "/config.json: the norms' epsilon is 0", WG_EFORMAT },
        { "{", "[", "/config.json: no JSON", WG_EFORMAT },
    };
    const wg_transformer_config c = small_llama();
    wg_module *m = random_transformer(&c);
    const char *path = in_folder("bad");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        write_folder(path, with(format(llama_json, ""), changes[i].from, changes[i].to), m, WG_F32,
                     0);
        ck_assert_msg(wg_model_open(path) == NULL, "opened: %s", changes[i].to);
        expect_error(changes[i].code, format("%s%s", path, changes[i].message));
    }
    write_folder(path, format(llama_json, ""), m, WG_F32, SHARDS);
    unlink(format("%s/model-00002-of-00002.safetensors", path));
    ck_assert_ptr_null(wg_model_open(path));
    expect_error(WG_ENOTFOUND, format("%s/model-00002", path));
    unlink(format("%s/model.safetensors.index.json", path));
    ck_assert_ptr_null(wg_model_open(path));
    expect_error(WG_ENOTFOUND, format("%s: no model.safetensors and no", path));
    put_text(format("%s/model.safetensors.index.json", path),
             "{\"weight_map\":{\"x\":\"../model.safetensors\"}}");
    ck_assert_ptr_null(wg_model_open(path));
    expect_error(WG_EFORMAT,
                 format("%s/model.safetensors.index.json: tensor \"x\" is in no file", path));
    unlink(format("%s/config.json", path));
    ck_assert_ptr_null(wg_model_open(path));
    expect_error(WG_ENOTFOUND, format("%s/config.json", path));
    wg_module_free(m);
}
END_TEST

/* Windows and biases are told by the fields of each kind. */
START_TEST(fields_of_mistral_and_qwen2_are_honoured)
{
    static const struct {
        const char *type, *fields;
        int64_t window; /* -1: refused */
    } cases[] = {
        { "mistral", ",\"sliding_window\":4", 4 },
        { "mistral", ",\"sliding_window\":null", 0 },
        { "mistral", "", 4096 },
        { "llama", ",\"sliding_window\":4", 0 },
        { "qwen2", ",\"sliding_window\":4", 0 },
        { "qwen2", ",\"sliding_window\":4,\"use_sliding_window\":true",
          0 }, /* 28 layers are full */
        { "qwen2", ",\"sliding_window\":4,\"use_sliding_window\":true,\"max_window_layers\":0", 4 },
        { "qwen2", ",\"sliding_window\":4,\"use_sliding_window\":true,\"max_window_layers\":1",
          -1 },
        { "qwen2", ",\"layer_types\":[\"full_attention\",\"full_attention\"]", 0 },
        { "qwen2", ",\"layer_types\":[\"full_attention\",\"linear_attention\"]", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wg_transformer_config c = small_llama();
        c.qkv_bias = !strcmp(cases[i].type, "qwen2");
        wg_module *m = random_transformer(&c);
        const char *json =
            with(format(llama_json, cases[i].fields), "\"llama\"", format("\"%s\"", cases[i].type));
        write_folder(in_folder("hf"), json, m, WG_F32, 0);
        wg_model *back = wg_model_open(in_folder("hf"));
        if (cases[i].window < 0) {
            ck_assert_ptr_null(back);
            expect_error(WG_EFORMAT, format("%s/config.json: \"layer_types\"", in_folder("hf")));
        } else {
            expect_no_error();
            const wg_transformer_config *d = wg_transformer_config_of(wg_model_module(back));
            ck_assert_int_eq(d->window, cases[i].window);
            ck_assert(d->qkv_bias == c.qkv_bias);
        }
        wg_model_free(back);
        wg_module_free(m);
    }
}
END_TEST

START_TEST(chat_templates_are_found)
{
    const wg_transformer_config c = small_llama();
    wg_module *m = random_transformer(&c);
    const char *path = in_folder("hf");
    write_folder(path, format(llama_json, ""), m, WG_F32, 0);
    wg_model *a = wg_model_open(path);
    ck_assert_ptr_null(wg_model_chat_template(a));
    put_text(format("%s/tokenizer_config.json", path),
             "{\"chat_template\":[{\"name\":\"tool\",\"template\":\"t\"},"
             "{\"name\":\"default\",\"template\":\"{{d}}\"}]}");
    wg_model *b = wg_model_open(path);
    ck_assert_str_eq(wg_model_chat_template(b), "{{d}}");
    put_text(format("%s/chat_template.jinja", path), "{{j}}");
    wg_model *d = wg_model_open(path);
    ck_assert_str_eq(wg_model_chat_template(d), "{{j}}");
    ck_assert_int_eq(wg_model_save(d, in_folder("chat.gguf")), WG_OK);
    wg_model *e = wg_model_open(in_folder("chat.gguf"));
    ck_assert_str_eq(wg_model_chat_template(e), "{{j}}");
    wg_model *all[] = { a, b, d, e };
    for (int i = 0; i < 4; i++) wg_model_free(all[i]);
    wg_module_free(m);
}
END_TEST

/* ---- saving ---------------------------------------------------------------------------------- */
START_TEST(a_folder_keeps_its_other_files_and_a_failure_leaves_nothing)
{
    const wg_transformer_config c = small_llama();
    wg_model *m = wg_model_wrap(random_transformer(&c), NULL);
    const char *path = in_folder("kept");
    mkdir(path, 0777);
    put_text(format("%s/README.md", path), "mine");
    put_text(format("%s/config.json", path), "{}");
    ck_assert_int_eq(wg_model_save(m, path), WG_OK);
    size_t bytes;
    char *text = get_file(format("%s/README.md", path), &bytes);
    ck_assert_str_eq(text, "mine");
    free(text);
    wg_model *back = wg_model_open(path);
    ck_assert(apart(wg_model_module(back), wg_model_module(m)) == 0);
    /* Over the very files that are mapped. */
    ck_assert_int_eq(wg_model_save(back, path, .dtype = WG_F16), WG_OK);
    ck_assert(apart(wg_model_module(back), wg_model_module(m)) == 0);
    wg_model_free(back);
    const int before = folder_files(folder_path, false);
    static const struct {
        const char *name;
        wg_file_kind kind;
        wg_dtype dtype;
    } wrong[] = { { "x.gguf", 0, WG_Q4_K },     { "x.gguf", 0, WG_F64 },
                  { "x", 0, WG_Q8_0 },          { "x", WG_FILE_LLMC, 0 },
                  { "no/such/folder", 0, 0 },   { "no/such/folder/x.gguf", 0, 0 },
                  { "kept/README.md/x", 0, 0 }, { "kept/README.md", 0, 0 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(wg_model_save(m, in_folder(wrong[i].name), .kind = wrong[i].kind,
                                    .dtype = wrong[i].dtype) != WG_OK,
                      "%s", wrong[i].name);
        wg_error_clear();
    }
    wg_raise(WG_ENUMERIC, "something before");
    ck_assert_int_eq(wg_model_save(m, in_folder("x")), WG_ENUMERIC);
    wg_error_clear();
    ck_assert_int_eq(folder_files(folder_path, false), before);
    ck_assert_int_ne(access(in_folder("kept/README.md.tmp"), F_OK), 0);
    wg_model_free(m);
}
END_TEST

START_TEST(what_no_format_can_say_is_refused)
{
    wg_transformer_config c[5] = { small_llama(), small_gpt2(), small_llama(), small_gpt2(),
                                   small_llama() };
    static const char *const messages[] = { "a transformer of rope without RMSNorm",
                                            "learned positions with grouped heads",
                                            "GGUF cannot say a gated MLP",
                                            "GGUF cannot say a GPT-2 with another activation",
                                            "the model has 20 parameters where its configuration" };
    c[0].norm = WG_NORM_LAYER;
    c[1].kv_heads = 2;
    c[2].activation = WG_ACT_GELU;
    c[3].activation = WG_ACT_RELU;
    for (int i = 0; i < 5; i++) {
        wg_module *t = random_transformer(&c[i]);
        if (i == 4) {
            wg_module_free(wg_module_swap(t, "model.layers.0.mlp.up_proj", NULL));
            wg_error_clear();
        }
        wg_model *m = wg_model_wrap(t, NULL);
        ck_assert_int_eq(wg_model_save(m, in_folder("x.gguf")), WG_EARG);
        ck_assert_msg(strstr(wg_error_get()->message, messages[i]), "%s", wg_error_get()->message);
        wg_error_clear();
        wg_model_free(m);
    }
    ck_assert_ptr_null(wg_model_wrap(NULL, NULL));
    expect_error(WG_EARG, "model_wrap: this is no transformer");
    ck_assert_ptr_null(wg_model_wrap(wg_linear_new(2, 2), NULL));
    expect_error(WG_EARG, "model_wrap: this is no transformer");
}
END_TEST

int main(void)
{
    folder_make();
    const int failed = suite_run(
        "model_files",
        (const TTest *[]) { folders_of_every_form_open_to_the_same_bits,
                            a_configuration_that_contradicts_its_tensors_is_refused_by_name,
                            wrong_folders_are_refused_by_name,
                            fields_of_mistral_and_qwen2_are_honoured, chat_templates_are_found,
                            a_folder_keeps_its_other_files_and_a_failure_leaves_nothing,
                            what_no_format_can_say_is_refused, NULL });
    folder_remove();
    return failed;
}
