/* A model from a file into another: quantised, or in another floating type; with what that costs on a text.
 *
 *     quantize --model llama/ --out llama-q4_0.gguf --dtype q4_0 --text wiki.txt */
#include <stdlib.h>

#include "common/device.h"
#include "common/encode.h"
#include "common/options.h"
#include "common/program.h"

const char program_name[] = "quantize";

typedef struct {
    char model[TEXT_SIZE], tokenizer[TEXT_SIZE], out[TEXT_SIZE], text[TEXT_SIZE];
    char device[TEXT_SIZE];
    int64_t window, stride, threads;
    int dtype;
} settings;

static const char *const dtypes[] = { "f32", "f16", "bf16", "q8_0", "q4_0", NULL };
static const wg_dtype dtype_values[] = { WG_F32, WG_F16, WG_BF16, WG_Q8_0, WG_Q4_0 };

#define AT(field) offsetof(settings, field)
#define ANY -1e300, 1e300
/* clang-format off */
static const option options[] = {
    { "model", OPTION_TEXT, AT(model), "", "a Hugging Face folder, a GGUF file, llama2.c's or llm.c's .bin", ANY, NULL },
    { "tokenizer", OPTION_TEXT, AT(tokenizer), "", "a tokenizer; default: the model's own", ANY, NULL },
    { "out", OPTION_TEXT, AT(out), "", "FILE.gguf, or a folder in Hugging Face's layout (floating types)", ANY, NULL },
    { "dtype", OPTION_CHOICE, AT(dtype), "q8_0", "of the matrices", ANY, dtypes },
    { "text", OPTION_TEXT, AT(text), "", "a file: its perplexity before and after", ANY, NULL },
    { "window", OPTION_INT, AT(window), "0", "inputs at once; 0: the model's block, at most 2048", 0, 1e9, NULL },
    { "stride", OPTION_INT, AT(stride), "0", "from one window to the next; 0: half a window", 0, 1e9, NULL },
    { "device", OPTION_TEXT, AT(device), "cpu", "cpu, cuda or cuda:N", ANY, NULL },
    { "threads", OPTION_INT, AT(threads), "0", "0: all; the results are the same", 0, 4096, NULL },
    { .name = NULL },
};
/* clang-format on */

/* Bytes of the weights as they lie in memory. */
static double weight_bytes(wg_module *m)
{
    const wg_scope s = wg_scope_push();
    const wg_params p = wg_module_params(m);
    double bytes = 0;
    for (int64_t i = 0; i < p.n; i++) {
        const wg_dtype t = wg_dtype_of(p.p[i].tensor);
        bytes += (double)wg_numel(p.p[i].tensor) / (double)wg_dtype_block(t) *
                 (double)wg_dtype_block_bytes(t);
    }
    wg_scope_return(s, NULL);
    return bytes;
}

static bool describe(const settings *s, const wg_model *m, const char *name,
                     const wg_tokenizer *tokenizer)
{
    printf("%s: %.1f MB of weights", name, 1e-6 * weight_bytes(wg_model_module(m)));
    if (tokenizer) {
        int64_t *ids;
        wg_perplexity_result p = { 0 };
        const int64_t n = encode_file(&(encoder) { .tokenizer = tokenizer }, s->text, &ids);
        const bool fine =
            n >= 0 && wg_perplexity(wg_model_module(m), ids, n, &p, .window = s->window,
                                    .stride = s->stride) == WG_OK;
        free(ids);
        if (!fine) return false;
        printf(", perplexity %.4f over %lld tokens", p.perplexity, (long long)p.tokens);
    }
    putchar('\n');
    fflush(stdout);
    return true;
}

/* The file that was written, opened as anybody would. */
static bool describe_result(const settings *s, const wg_tokenizer *tokenizer)
{
    wg_model *m = wg_model_open(s->out, .no_tokenizer = true);
    const bool fine = m && describe(s, m, s->out, tokenizer);
    wg_model_free(m);
    return fine;
}

static bool quantize(const settings *s)
{
    wg_tokenizer *own = NULL;
    const wg_tokenizer *t = NULL;
    if (!use_device(s->device)) return false;
    wg_model *m = wg_model_open(s->model, .no_tokenizer = *s->tokenizer != 0);
    bool fine = m != NULL;
    if (fine && *s->text) fine = (t = tokenizer_of(m, s->model, s->tokenizer, &own)) != NULL;
    fine = fine && describe(s, m, s->model, t) &&
           wg_model_save(m, s->out, .dtype = dtype_values[s->dtype]) == WG_OK &&
           describe_result(s, t);
    wg_model_free(m);
    wg_tokenizer_free(own);
    return fine || failed();
}

int main(int argc, char **argv)
{
    static settings s;
    options_default(&s, options);
    if (options_want_help(argc, argv)) {
        puts("usage: quantize --model PATH --out PATH [--NAME VALUE ...]\n"
             "Writes a model's weights in another type.");
        options_help(&s, options);
        return 0;
    }
    if (!options_read(&s, options, argc, argv)) return MISTAKE;
    if (!*s.model || !*s.out) return complain("--model and --out are needed (see --help)"), MISTAKE;
    wg_use_threads((int)s.threads);
    const wg_scope scope = wg_scope_push();
    const bool fine = quantize(&s);
    return wg_scope_pop(scope) == WG_OK && fine ? 0 : FAILED;
}
