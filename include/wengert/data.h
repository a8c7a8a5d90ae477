/* Data sets of tokens, and loaders that cut batches from them. */
#ifndef WENGERT_DATA_H
#define WENGERT_DATA_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- sequences of token ids ------------------------------------------------------------------ */
/** A sequence of token ids, whole or a part of one; parts share the whole's memory. Never changes;
 * may be read by many threads. */
typedef struct wg_tokens wg_tokens;
/** What a text's tokens are. */
typedef enum {
    WG_CHARS, /**< its distinct Unicode characters, numbered 0, 1, ... in order of code point */
    WG_BYTES  /**< its bytes; a vocabulary of 256 */
} wg_vocabulary;

/** Reads a text. Yours, to be freed with wg_tokens_free; NULL and
 * WG_ENOTFOUND (no such file), WG_EIO (unreadable, no regular file), WG_EFORMAT (empty, malformed
 * UTF-8), WG_EMEM. WG_BYTES maps the file and reads nothing; WG_CHARS keeps 1, 2 or 4 bytes a
 * character. */
WG_API wg_tokens *wg_tokens_text(const char *path, wg_vocabulary v);
/** Maps a shard in llm.c's format: 256 int32 (magic 20240520, version 1, count), then uint16
 * tokens. Its vocabulary is GPT-2's, 50257; tokens above it raise where a loader meets them. NULL
 * and WG_ENOTFOUND, WG_EIO, or WG_EFORMAT: another magic or version, or a count that does not fit
 * the file's size. */
WG_API wg_tokens *wg_tokens_shard(const char *path);
/** The part [first, last) of t, sharing it; yours. The whole stays alive as long as a part does.
 * NULL and WG_EINDEX. */
WG_API wg_tokens *wg_tokens_part(wg_tokens *t, int64_t first, int64_t last);
/** NULL is fine. Loaders and parts of t live on. */
WG_API void wg_tokens_free(wg_tokens *t);
/** How many; 0 for NULL. */
WG_API int64_t wg_tokens_count(const wg_tokens *t);
/** Ids are below this. A part's is the whole's. */
WG_API int64_t wg_tokens_vocab(const wg_tokens *t);
/** Token i, or -1 out of range. */
WG_API int64_t wg_tokens_at(const wg_tokens *t, int64_t i);
/** The text of token id as UTF-8 (of WG_BYTES: the byte), at most 4 bytes and a NUL into out[5].
 * Returns the length; 0 if id is none, or of a shard, which has no text. */
WG_API int wg_tokens_decode(const wg_tokens *t, int64_t id, char out[5]);
/** Encodes text with t's vocabulary into a new array *ids (to be freed with free); returns its
 * length. -1, *ids NULL and WG_ENOTFOUND for a character that the vocabulary lacks, WG_EFORMAT for
 * malformed UTF-8, WG_EARG for a shard. */
WG_API int64_t wg_tokens_encode(const wg_tokens *t, const char *text, int64_t **ids);

/* ---- loaders
 * -----------------------------------------------------------------------------------------------------
 */
/** Cuts batches from tokens, in one of three ways:
 * - default: samples of `block` tokens at uniformly random places, without end;
 * - sequential: consecutive blocks, so that every token but the first is a target exactly once. The
 * last batch of full blocks may hold fewer of them, and what is left over comes last, as one row
 * shorter than `block`: a mean over all targets weights batches by their size;
 * - sequential and shuffle: the same, the full blocks in a random order, a new one each pass.
 *
 * Random numbers are Philox's, from a stream of the loader's own: sample i of a pass depends on the
 * seed, the pass and i, not on the batch size, the thread's generator or the number of threads. */
typedef struct wg_loader wg_loader;
/** Options of wg_loader_new. */
typedef struct {
    wg_tokens *tokens;
    int64_t batch, block; /**< at least 1 */
    uint64_t seed;
    bool sequential;
    bool shuffle; /**< needs sequential */
    char end;
} wg_loader_args;
/** Yours, to be freed with wg_loader_free. It keeps the tokens' memory alive. NULL and WG_EARG:
 * tokens NULL, batch or block below 1, or too few tokens: block + 1 are needed, 2 if sequential. */
WG_API wg_loader *wg_loader_call(wg_loader_args a);
/** NULL is fine. */
WG_API void wg_loader_free(wg_loader *l);
/** The next batch: x and y (B, T) i64, y[b][t] the token after x[b][t]; new tensors of the
 * innermost scope on the current device. False at the end of a sequential pass (x and y are NULL),
 * and on an error (they are the error tensor); the position then stays. WG_EFORMAT: a shard's token
 * is outside its vocabulary. */
WG_API bool wg_loader_next(wg_loader *l, wg_tensor **x, wg_tensor **y);
/** Back to the start: of the next pass if sequential, of the same stream if not. Nothing if nothing
 * was drawn. */
WG_API void wg_loader_rewind(wg_loader *l);
/** The position as numbers, for checkpoints: pass, samples drawn in it, seed, tokens in all. */
WG_API void wg_loader_position(const wg_loader *l, int64_t at[4]);
/** Puts l, seed included, where another loader of as many tokens was. WG_EARG and no change if it
 * does not fit. */
WG_API wg_status wg_loader_seek(wg_loader *l, const int64_t at[4]);

#ifdef __cplusplus
}
#endif
#define wg_tokens_text(...) WG_HERE(wg_tokens_text(__VA_ARGS__))
#define wg_tokens_shard(...) WG_HERE(wg_tokens_shard(__VA_ARGS__))
#define wg_tokens_part(...) WG_HERE(wg_tokens_part(__VA_ARGS__))
#define wg_tokens_encode(...) WG_HERE(wg_tokens_encode(__VA_ARGS__))
#define wg_loader_new(...) WG_HERE(wg_loader_call(WG_ARGS(wg_loader_args, __VA_ARGS__)))
#define wg_loader_next(...) WG_HERE(wg_loader_next(__VA_ARGS__))
#define wg_loader_seek(...) WG_HERE(wg_loader_seek(__VA_ARGS__))
#endif
