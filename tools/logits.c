/* logits MODEL [--dtype f32|f64|bf16|f16] [--adapter FOLDER [--save-adapter FOLDER] [--merge]]
 * [--save PATH [--as f32|...]] ID ...: the logits of a model at every position, as (T, V)
 * little-endian f32 on standard output. --adapter puts PEFT's adapters around its linears first,
 * --save-adapter writes them again, --merge adds them into the weights; --save writes the model:
 * GGUF for a name that ends so, else a Hugging Face folder. For comparisons with other programs:
 * tools/check_transformers.py, tools/check_peft.py. */
#include <stdlib.h>
#include <string.h>
#include <wengert/wengert.h>

static wg_dtype dtype_named(const char *name)
{
    static const wg_dtype all[] = { WG_F64, WG_F32, WG_BF16, WG_F16, WG_Q8_0, WG_Q4_0 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(wg_dtype_name(all[i]), name)) return all[i];
    fprintf(stderr, "logits: no dtype is called %s\n", name);
    exit(2);
}

static int print_logits(wg_module *m, const int64_t *ids, int64_t n)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *tokens = wg_from(ids, (size_t)n * sizeof *ids, WG_I64, WG_DIMS(1, n));
    wg_tensor *y = wg_forward(m, tokens); /* (1, T, V) */
    const size_t bytes = (size_t)wg_numel(y) * sizeof(float);
    float *out = malloc(bytes + 1);
    if (out && wg_read(y, out, bytes, WG_F32) == WG_OK) fwrite(out, 1, bytes, stdout);
    free(out);
    (void)!wg_scope_pop(s);
    return wg_error_print(stderr);
}

static void adapt(wg_module *m, const char *adapter, const char *save, bool merge)
{
    if (adapter && wg_lora_load(m, adapter) != WG_OK) return;
    if (save && wg_lora_save(m, save) != WG_OK) return;
    if (merge) (void)!wg_lora_merge(m);
}

int main(int argc, char **argv)
{
    const char *path = NULL, *save = NULL, *adapter = NULL, *save_adapter = NULL;
    bool merge = false;
    wg_dtype dtype = (wg_dtype)0, as = (wg_dtype)0;
    int64_t *ids = calloc((size_t)argc, sizeof *ids), n = 0;
    if (!ids) return 1;
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (!strcmp(argv[i], "--dtype") && more)
            dtype = dtype_named(argv[++i]);
        else if (!strcmp(argv[i], "--as") && more)
            as = dtype_named(argv[++i]);
        else if (!strcmp(argv[i], "--save") && more)
            save = argv[++i];
        else if (!strcmp(argv[i], "--adapter") && more)
            adapter = argv[++i];
        else if (!strcmp(argv[i], "--save-adapter") && more)
            save_adapter = argv[++i];
        else if (!strcmp(argv[i], "--merge"))
            merge = true;
        else if (!path)
            path = argv[i];
        else
            ids[n++] = strtoll(argv[i], NULL, 10);
    }
    if (!path) {
        fprintf(stderr, "usage: logits MODEL [--dtype D] [--adapter FOLDER] [--save PATH [--as D]] "
                        "ID ...\n");
        return 2;
    }
    wg_model *m = wg_model_open(path, .dtype = dtype);
    if (m) adapt(wg_model_module(m), adapter, save_adapter, merge);
    if (m && save && !wg_error_code()) (void)!wg_model_save(m, save, .dtype = as);
    int failed = wg_error_print(stderr);
    if (!failed && n) failed = print_logits(wg_model_module(m), ids, n);
    wg_model_free(m);
    free(ids);
    return failed;
}
