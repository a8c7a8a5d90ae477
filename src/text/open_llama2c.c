/* llama2.c's tokenizer.bin: int32 longest token, then for each token f32 score, int32 length,
 * bytes, where U+2581 is a space already. Ids 0, 1, 2 are unknown, bos, eos, ids 3 to 258 the
 * bytes. Source: llama2.c, tokenizer.py and run.c. */
#include <stdio.h>
#include <string.h>

#include "tokenizer.h"

enum { FIRST_BYTE = 3, LAST_BYTE = 258 };

static wg_status put(wg_tokenizer *t, const char *path, const char *bytes, size_t n, float score)
{
    const int64_t id = t->vocab.n;
    char byte = (char)(id - FIRST_BYTE);
    int type = id == 0 ? WGI_TOKEN_UNKNOWN : id < FIRST_BYTE ? WGI_TOKEN_CONTROL : WGI_TOKEN_NORMAL;
    if (id >= FIRST_BYTE && id <= LAST_BYTE) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)(uint8_t)byte);
        if (n != 6 || memcmp(bytes, name, 6) != 0)
            return wg_raise(WG_EFORMAT, "%s: token %lld is \"%.*s\", not %s", path, (long long)id,
                            (int)(n < 60 ? n : 60), bytes, name);
        bytes = &byte;
        n = 1;
        type = WGI_TOKEN_BYTE;
    } else if (type == WGI_TOKEN_CONTROL) { /* it spells them with line ends around */
        for (; n && *bytes == '\n'; n--) bytes++;
        while (n && bytes[n - 1] == '\n') n--;
    }
    if (wgi_vocab_put(&t->vocab, id, bytes, n, type))
        return wg_raise(WG_EMEM, "%s: out of memory", path);
    t->vocab.tokens[id].score = score;
    const wgi_token *k = &t->vocab.tokens[id];
    const wgi_added_token a = {
        .bytes = k->bytes, .size = k->size, .id = (int32_t)id, .special = true
    };
    if (id < FIRST_BYTE && wgi_added_put(&t->raw, a, false))
        return wg_raise(WG_EMEM, "%s: out of memory", path);
    return WG_OK;
}

wg_status wgi_open_llama2c(wg_tokenizer *t, const char *path, const wgi_mapping *file)
{
    for (size_t at = 4; at < file->bytes;) {
        float score;
        int32_t n;
        if (file->bytes - at < sizeof score + sizeof n)
            return wg_raise(WG_EFORMAT, "%s: it ends within token %lld", path,
                            (long long)t->vocab.n);
        memcpy(&score, file->data + at, sizeof score);
        memcpy(&n, file->data + at + sizeof score, sizeof n);
        at += sizeof score + sizeof n;
        if (n < 0 || (uint32_t)n > file->bytes - at)
            return wg_raise(WG_EFORMAT, "%s: token %lld of %d bytes at byte %zu of %zu", path,
                            (long long)t->vocab.n, n, at, file->bytes);
        if (put(t, path, (const char *)file->data + at, (size_t)n, score)) return wg_error_code();
        at += (size_t)n;
    }
    if (t->vocab.n <= LAST_BYTE)
        return wg_raise(WG_EFORMAT, "%s: %lld tokens, at least 259 are expected", path,
                        (long long)t->vocab.n);
    t->unknown = 0;
    t->bos = 1;
    t->eos = 2;
    t->adds_bos = true;
    t->byte_fallback = t->fuses_unknown = true;
    t->marks_spaces = true;
    t->prefix = WGI_PREFIX_ALWAYS;
    t->strips = true;
    return wgi_pairs_from_scores(t, path);
}
