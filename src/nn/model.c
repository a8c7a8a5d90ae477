/* The one door to the files of models. */
#include "nn/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nn/state.h"
#include "wengert/error.h"
#include "wengert/io.h"
#include "wengert/scope.h"

/* ---- opening --------------------------------------------------------------------------------- */
static wg_file_kind kind_of_file(const char *path)
{
    wg_file *f = wg_file_open(path);
    if (!f) return WG_FILE_NONE;
    const char *data = wg_file_data(f);
    const int64_t bytes = wg_file_bytes(f);
    wg_file_kind kind = WG_FILE_NONE;
    if (bytes >= 4 && !memcmp(data, "GGUF", 4))
        kind = WG_FILE_GGUF;
    else if (wgi_is_llmc(data, bytes))
        kind = WG_FILE_LLMC;
    else if (wgi_is_llama2c(data, bytes))
        kind = WG_FILE_LLAMA2C;
    else if (bytes > 8 && data[8] == '{')
        wg_raise(WG_EFORMAT,
                 "%s: safetensors say nothing of a model's shape: open the folder with config.json",
                 path);
    else
        wg_raise(WG_EFORMAT,
                 "%s: no model: neither GGUF, nor llama2.c's (7 sizes that fit the file's), nor "
                 "llm.c's, nor a folder",
                 path);
    wg_file_close(f);
    return kind;
}

static wg_file_kind kind_of(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode) ? WG_FILE_HF : kind_of_file(path);
}

wg_model *wg_model_call(wg_model_args a)
{
    if (wg_error_code()) return NULL;
    if (!a.path || (a.dtype && !wg_dtype_is_float(a.dtype))) {
        wg_raise(WG_EARG, "model_open: no path, or a dtype that is not floating");
        return NULL;
    }
    wg_model *m = calloc(1, sizeof *m);
    if (!m) {
        wg_raise(WG_EMEM, "%s: out of memory", a.path);
        return NULL;
    }
    switch (kind_of(a.path)) {
    case WG_FILE_HF: wgi_model_open_hf(m, &a); break;
    case WG_FILE_GGUF: wgi_model_open_gguf(m, &a); break;
    case WG_FILE_LLAMA2C: wgi_model_open_llama2c(m, &a); break;
    case WG_FILE_LLMC: wgi_model_open_llmc(m, &a); break;
    case WG_FILE_NONE: break;
    }
    if (!wg_error_code() && !a.no_tokenizer) wgi_model_open_tokenizer(m, a.path);
    if (!wg_error_code()) return m;
    wg_model_free(m);
    return NULL;
}

wg_model *wg_model_wrap(wg_module *transformer, wg_tokenizer *tokenizer)
{
    wg_model *m = NULL;
    if (!wg_error_code() &&
        (!wg_module_is(transformer, &wg_transformer_type) || transformer->state->parent))
        wg_raise(WG_EARG, "model_wrap: this is no transformer, or one that is part of another "
                          "module");
    else if (!wg_error_code() && !(m = calloc(1, sizeof *m)))
        wg_raise(WG_EMEM, "model_wrap: out of memory");
    if (m) {
        *m = (wg_model) { .module = transformer, .tokenizer = tokenizer };
        return m;
    }
    if (transformer && !transformer->state->parent) wg_module_free(transformer);
    wg_tokenizer_free(tokenizer);
    return NULL;
}

void wg_model_free(wg_model *m)
{
    if (!m) return;
    wg_module_free(m->module);
    wg_tokenizer_free(m->tokenizer);
    wg_set(&m->rope_factors, NULL);
    wg_gguf_close(m->gguf);
    free(m->chat_template);
    free(m);
}

wg_module *wg_model_module(const wg_model *m)
{
    return m ? m->module : NULL;
}

wg_tokenizer *wg_model_tokenizer(const wg_model *m)
{
    return m ? m->tokenizer : NULL;
}

const char *wg_model_chat_template(const wg_model *m)
{
    return m ? m->chat_template : NULL;
}

wg_file_kind wg_model_kind(const wg_model *m)
{
    return m ? m->kind : WG_FILE_NONE;
}
