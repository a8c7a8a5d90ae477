/* Token shards as llm.c writes them (dev/data/data_common.py, write_datafile): a header of 256
 * int32, of which three are used (magic, version, count), then `count` uint16 tokens of GPT-2's
 * vocabulary. */
#include <string.h>

#include "tokens.h"

enum { HEADER_BYTES = 1024, MAGIC = 20240520, VERSION = 1, GPT2_VOCAB = 50257 };

static wg_status check(const char *path, const wgi_mapping *m, int64_t *count)
{
    int32_t header[3];
    if (m->bytes < HEADER_BYTES)
        return wg_raise(WG_EFORMAT, "%s: %zu bytes are too few for a token shard", path, m->bytes);
    memcpy(header, m->data, sizeof header);
    if (header[0] != MAGIC)
        return wg_raise(WG_EFORMAT, "%s: no token shard: it begins with %d, not with %d", path,
                        header[0], MAGIC);
    if (header[1] != VERSION)
        return wg_raise(WG_EFORMAT,
                        "%s: a token shard of version %d; only version 1 (uint16) can be read",
                        path, header[1]);
    if (header[2] < 0 || (uint64_t)header[2] * sizeof(uint16_t) != m->bytes - HEADER_BYTES)
        return wg_raise(WG_EFORMAT, "%s: its header says %d tokens, its size %zu bytes", path,
                        header[2], m->bytes);
    *count = header[2];
    return WG_OK;
}

wg_tokens *wg_tokens_shard(const char *path)
{
    if (wg_error_code()) return NULL;
    wgi_mapping *m = wgi_mapping_open(path);
    if (!m) return NULL;
    int64_t count = 0;
    if (check(path, m, &count) != WG_OK) {
        wgi_mapping_unref(m);
        return NULL;
    }
    return wgi_tokens_new((wgi_token_data) { .width = 2,
                                             .ids = m->data + HEADER_BYTES,
                                             .count = count,
                                             .vocab = GPT2_VOCAB,
                                             .mapping = m });
}
