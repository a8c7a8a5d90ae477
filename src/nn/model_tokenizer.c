/* The tokenizer that belongs to a model's file. */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/model.h"
#include "wengert/error.h"

/* One of the files that wg_tokenizer_open knows is in the folder. */
static bool folder_has_one(const char *folder)
{
    static const char *const names[] = { "tokenizer.json", "vocab.json", "encoder.json",
                                         "tokenizer.model" };
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++) {
        char *path = wgi_model_path(folder, names[i]);
        found = path && access(path, F_OK) == 0;
        free(path);
    }
    return found;
}

/* Beside a llama2.c file: tokenizer.bin, or the only tok*.bin. NULL: none, or several. */
static char *beside(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    DIR *d = folder ? opendir(*folder ? folder : "/") : NULL;
    char *found = NULL;
    int n = 0;
    if (!folder) wg_raise(WG_EMEM, "%s: out of memory", path);
    for (struct dirent *e; d && (e = readdir(d));) {
        const bool usual = !strcmp(e->d_name, "tokenizer.bin");
        if (!usual && !wg_match("tok*.bin", e->d_name)) continue;
        n++;
        free(found);
        found = wgi_model_path(folder, e->d_name);
        if (!usual) continue;
        n = 1;
        break;
    }
    if (d) closedir(d);
    free(folder);
    if (n == 1) return found;
    free(found);
    return NULL;
}

void wgi_model_open_tokenizer(wg_model *m, const char *path)
{
    char *own = NULL;
    const char *from = path;
    if (m->kind == WG_FILE_HF && !folder_has_one(path)) return;
    if (m->kind == WG_FILE_GGUF && !wg_gguf_has(m->gguf, "tokenizer.ggml.tokens")) return;
    if (m->kind == WG_FILE_LLMC) return;
    if (m->kind == WG_FILE_LLAMA2C) from = own = beside(path);
    if (from && !wg_error_code()) m->tokenizer = wg_tokenizer_open(from);
    const int64_t size = wg_tokenizer_size(m->tokenizer),
                  vocab = wg_transformer_config_of(m->module)->vocab;
    if (m->kind != WG_FILE_HF && size > vocab) /* folders' tokenizers may have more: unused ones */
        wg_raise(WG_EFORMAT,
                 "%s: a tokenizer of %" PRId64 " tokens, a model of %" PRId64
                 " (.no_tokenizer opens it without)",
                 from, size, vocab);
    free(own);
}
