/* Which format a tokenizer has, by its content. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "tensor/internal.h"

typedef enum { UNKNOWN, GGUF, JSON, VOCABULARY, MERGES, SENTENCEPIECE, LLAMA2C } format;

static size_t skip_space(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n && strchr(" \t\r\n", text[at])) at++;
    return at;
}

/* A JSON object of numbers is a vocabulary, another a tokenizer.json. */
static format json_format(const char *text, size_t n)
{
    size_t at = skip_space(text, n) + 1;
    at += skip_space(text + at, n - at);
    if (at < n && text[at] == '"')
        for (at++; at < n && text[at] != '"'; at++) at += text[at] == '\\';
    if (at >= n) return JSON; /* its reader says what is wrong */
    at++;
    at += skip_space(text + at, n - at);
    if (at < n && text[at] == ':') at++;
    at += skip_space(text + at, n - at);
    return at < n && text[at] >= '0' && text[at] <= '9' ? VOCABULARY : JSON;
}

/* Text without control characters, in its first bytes. */
static bool is_text(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n && i < 256; i++)
        if (p[i] < 0x20 && p[i] != '\n' && p[i] != '\r' && p[i] != '\t') return false;
    return n > 0;
}

static format format_of(const wgi_mapping *file)
{
    const unsigned char *p = file->data;
    const size_t n = file->bytes;
    if (n < 4) return UNKNOWN;
    if (memcmp(p, "GGUF", 4) == 0) return GGUF;
    const size_t at = skip_space((const char *)p, n);
    if (at < n && p[at] == '{') return json_format((const char *)p, n);
    /* A model begins with a piece (field 1, a message) that begins with its text (field 1). */
    if (p[0] == 0x0A && (p[2] == 0x0A || p[3] == 0x0A)) return SENTENCEPIECE;
    if (p[2] == 0 && p[3] == 0) return LLAMA2C; /* it begins with the length of the longest token */
    if (is_text(p, n)) return MERGES;
    return UNKNOWN;
}

/* ---- two files that belong together ---------------------------------------------------------- */
static const char *const pairs[][2] = { { "vocab.json", "merges.txt" },
                                        { "encoder.json", "vocab.bpe" } };

/* Opens the pair of which path is one; `other` is 1 if path is the vocabulary. The partner of its
 * own name is looked for first. */
static wg_status open_pair(wg_tokenizer *t, const char *path, int other)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    const int first = strcmp(name, pairs[1][!other]) == 0;
    for (int i = 0; i < 2; i++) {
        char *partner = wgi_beside(path, pairs[i ^ first][other]);
        if (!partner) return wg_error_code();
        const bool there = access(partner, F_OK) == 0;
        wg_status st = WG_OK;
        if (there) st = wgi_open_merges(t, other ? path : partner, other ? partner : path);
        free(partner);
        if (there) return st;
    }
    return wg_raise(WG_ENOTFOUND, "%s: %s, and beside it neither %s nor %s", path,
                    other ? "a vocabulary" : "a list of merges", pairs[0][other], pairs[1][other]);
}

static wg_status open_file(wg_tokenizer *t, const char *path)
{
    wgi_mapping *file = wgi_mapping_open(path);
    if (!file) return wg_error_code();
    const format format = format_of(file);
    wg_status st;
    switch (format) {
    case GGUF: st = wgi_open_gguf(t, path); break;
    case JSON: st = wgi_open_json(t, path, file); break;
    case SENTENCEPIECE: st = wgi_open_sentencepiece(t, path, file); break;
    case LLAMA2C: st = wgi_open_llama2c(t, path, file); break;
    case VOCABULARY:
    case MERGES: st = open_pair(t, path, format == VOCABULARY); break;
    default: st = wg_raise(WG_EFORMAT, "%s: no tokenizer of a known format", path);
    }
    wgi_mapping_unref(file);
    return st;
}

/* ---- folders --------------------------------------------------------------------------------- */
static wg_status open_folder(wg_tokenizer *t, const char *path)
{
    static const char *const names[][2] = { { "tokenizer.json", NULL },
                                            { "vocab.json", "merges.txt" },
                                            { "encoder.json", "vocab.bpe" },
                                            { "tokenizer.model", NULL } };
    const size_t n = strlen(path) + 32;
    char *files = wgi_malloc(2 * n);
    if (!files) return wg_raise(WG_EMEM, "%s: out of memory", path);
    wg_status st = WG_ENOTFOUND;
    for (int i = 0; i < 4; i++) {
        snprintf(files, n, "%s/%s", path, names[i][0]);
        snprintf(files + n, n, "%s/%s", path, names[i][1] ? names[i][1] : names[i][0]);
        if (access(files, F_OK) != 0 || access(files + n, F_OK) != 0) continue;
        st = names[i][1] ? wgi_open_merges(t, files, files + n) : open_file(t, files);
        break;
    }
    free(files);
    if (st == WG_ENOTFOUND && !wg_error_code())
        wg_raise(
            WG_ENOTFOUND,
            "%s: no tokenizer.json, vocab.json with merges.txt, encoder.json with vocab.bpe or "
            "tokenizer.model in this folder",
            path);
    return st;
}

wg_tokenizer *wg_tokenizer_open(const char *path)
{
    if (wg_error_code()) return NULL;
    if (!path) {
        wg_raise(WG_EARG, "tokenizer_open: no file name given");
        return NULL;
    }
    wg_tokenizer *t = wgi_tokenizer_new(path);
    if (!t) return NULL;
    struct stat s;
    const bool folder = stat(path, &s) == 0 && S_ISDIR(s.st_mode);
    wg_status st = folder ? open_folder(t, path) : open_file(t, path);
    if (!st) st = wgi_tokenizer_finish(t, path);
    if (!st) return t;
    wg_tokenizer_free(t);
    return NULL;
}
