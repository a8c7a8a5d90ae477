/* Data sets of tokens, and loaders that cut batches from them. */
#ifndef WENGERT_DATA_H
#define WENGERT_DATA_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** A sequence of token ids. */
typedef struct wg_tokens wg_tokens;
typedef enum { WG_CHARS, WG_BYTES } wg_vocabulary;
/** Reads a text: WG_CHARS numbers its distinct Unicode characters in order of code point, WG_BYTES takes its bytes.
 * Malformed UTF-8, an empty or unreadable file is an error (NULL). */
WG_API wg_tokens *wg_tokens_text(const char *path, wg_vocabulary v);
/** Maps a shard in llm.c's format: 256 int32 (magic 20240520, version 1, count), then uint16 tokens. */
WG_API wg_tokens *wg_tokens_shard(const char *path);
/** A part of a sequence, sharing it: [first, last). The whole stays alive as long as a part does. */
WG_API wg_tokens *wg_tokens_part(wg_tokens *t, int64_t first, int64_t last);
WG_API void wg_tokens_free(wg_tokens *t);
WG_API int64_t wg_tokens_count(const wg_tokens *t);
WG_API int64_t wg_tokens_vocab(const wg_tokens *t);
/** Token i, or -1 out of range. */
WG_API int64_t wg_tokens_at(const wg_tokens *t, int64_t i);
/** Text of token id as UTF-8 (or a byte), at most 4 bytes and a NUL into out[5]; returns the length, 0 if unknown. */
WG_API int wg_tokens_decode(const wg_tokens *t, int64_t id, char out[5]);
/** Encodes text with the vocabulary into a new array (free with free); -1 and an error for a character it lacks. */
WG_API int64_t wg_tokens_encode(const wg_tokens *t, const char *text, int64_t **ids);

typedef struct wg_loader wg_loader;
typedef struct {
    wg_tokens *tokens;
    int64_t batch, block;
    uint64_t seed;
    bool sequential; /**< consecutive blocks, each once, the last batch smaller; else uniformly random offsets */
    bool shuffle;    /**< with sequential: the blocks in a seeded random order, a new one each pass */
    char end;
} wg_loader_args;
/** Batches x, y: (B, T) i64, y the tokens after x. Keeps tokens alive. */
WG_API wg_loader *wg_loader_call(wg_loader_args a);
WG_API void wg_loader_free(wg_loader *l);
/** The next batch in the innermost scope; false at the end of a sequential pass, or on an error. */
WG_API bool wg_loader_next(wg_loader *l, wg_tensor **x, wg_tensor **y);
WG_API void wg_loader_rewind(wg_loader *l);
/** Position as numbers, for checkpoints. */
WG_API void wg_loader_position(const wg_loader *l, int64_t at[4]);
WG_API wg_status wg_loader_seek(wg_loader *l, const int64_t at[4]);

#ifdef __cplusplus
}
#endif
#define wg_loader_new(...) WG_HERE(wg_loader_call(WG_ARGS(wg_loader_args, __VA_ARGS__)))
#endif
