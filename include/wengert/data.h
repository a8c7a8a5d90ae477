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
/** A copy of n ids below vocab (at most 2^32), as a tokenizer gives them: it has no text of its own, so
 * that wg_tokens_decode and wg_tokens_encode know none. Yours. NULL and WG_EARG, WG_EINDEX naming
 * the first id out of range, WG_EMEM. */
WG_API wg_tokens *wg_tokens_ids(const int64_t *ids, int64_t n, int64_t vocab);
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
 * Returns the length; 0 if id is none, or of ids and shards, which have no text. */
WG_API int wg_tokens_decode(const wg_tokens *t, int64_t id, char out[5]);
/** Encodes text with t's vocabulary into a new array *ids (to be freed with free); returns its
 * length. -1, *ids NULL and WG_ENOTFOUND for a character that the vocabulary lacks, WG_EFORMAT for
 * malformed UTF-8, WG_EARG for ids and shards. */
WG_API int64_t wg_tokens_encode(const wg_tokens *t, const char *text, int64_t **ids);

/* ---- prompts with answers, questions with endings: JSON lines -------------------------------- */
/** Encodes `bytes` of text into a new array *ids (of malloc) and returns its length; -1 and *ids NULL
 * on failure, having raised. Without a beginning token of its own making. */
typedef int64_t (*wg_encode_fn)(void *self, const char *text, size_t bytes, int64_t **ids);
/** Encodes prompt and answer as the one text that they are and says how many of the ids are the
 * prompt's: those in which it agrees with the prompt encoded alone, so that a token across the seam
 * belongs to the answer. Returns the length of *ids (to be freed); -1 on failure. */
WG_API int64_t wg_encode_answer(wg_encode_fn encode, void *self, const char *prompt,
                                const char *answer, int64_t **ids, int64_t *of_prompt);
/** Token sequences of which the last part is learned. Never changes; may be read by many threads. */
typedef struct wg_examples wg_examples;
/** Options of wg_examples_open. */
typedef struct {
    const char *path;
    wg_encode_fn encode;
    void *self;         /**< encode's first argument */
    int64_t vocab;      /**< ids are below it; at most 2^31 - 1 */
    wg_maybe begin;     /**< this token in front */
    wg_maybe end_token; /**< this token behind the answer, learned too */
    int64_t block;      /**< inputs of an example at most; 0: any number */
    bool refuse_long;   /**< longer ones are errors; else the prompt's beginning is cut off, and
                            what is then too long of the answer's end */
    bool learn_prompt;  /**< the prompt too */
    char end;
} wg_examples_args;
/** Reads JSON lines of {"prompt": ..., "completion" or "answer": ...}, put together as they stand, and
 * of {"text": ...}, which is all answer; other fields are ignored. Yours, to be freed with
 * wg_examples_free. NULL and WG_ENOTFOUND, WG_EIO, WG_EARG, WG_EMEM; WG_EFORMAT naming file and
 * line: no JSON object, wrong fields, a token outside the vocabulary, nothing to be learned, or
 * (refuse_long) too long. What encode raises gets the place in front. */
WG_API wg_examples *wg_examples_call(wg_examples_args a);
/** A copy of the examples [first, last), at least one; yours. NULL and WG_EINDEX, WG_EMEM. */
WG_API wg_examples *wg_examples_part(const wg_examples *e, int64_t first, int64_t last);
/** NULL is fine. Loaders live on. */
WG_API void wg_examples_free(wg_examples *e);
/** How many; 0 for NULL. */
WG_API int64_t wg_examples_count(const wg_examples *e);
/** Tokens that are learned, in all of them. */
WG_API int64_t wg_examples_learned(const wg_examples *e);

/** A context, n endings of it, and the number of the right one. */
typedef struct {
    const char *context;
    const char *const *endings;
    int64_t n, label;
} wg_question;
typedef struct wg_questions wg_questions;
/** Reads JSON lines with HellaSwag's fields: "ctx", "endings" (two or more), "label" (a number, or one
 * in a string); others are ignored. Yours, to be freed with wg_questions_free. NULL and
 * WG_ENOTFOUND, WG_EIO, WG_EMEM; WG_EFORMAT naming file and line. */
WG_API wg_questions *wg_questions_open(const char *path);
/** NULL is fine. */
WG_API void wg_questions_free(wg_questions *q);
/** How many; 0 for NULL. */
WG_API int64_t wg_questions_count(const wg_questions *q);
/** Question i, valid until they are freed; NULL out of range. */
WG_API const wg_question *wg_questions_at(const wg_questions *q, int64_t i);

/* ---- loaders
 * -----------------------------------------------------------------------------------------------------
 */
/** Cuts batches from tokens, or draws them from examples, in one of three ways:
 * - default: samples of `block` tokens at uniformly random places, without end;
 * - sequential: consecutive blocks, so that every token but the first is a target exactly once. The
 * last batch of full blocks may hold fewer of them, and what is left over comes last, as one row
 * shorter than `block`: a mean over all targets weights batches by their size;
 * - sequential and shuffle: the same, the full blocks in a random order, a new one each pass.
 * A sample of examples is one of them; the rows of a batch are filled up to its longest with inputs
 * of 0 and targets of -1, and targets are -1 over prompts: a loss with ignore_index -1 is the mean
 * over what is learned.
 *
 * Random numbers are Philox's, from a stream of the loader's own: sample i of a pass depends on the
 * seed, the pass and i, not on the batch size, the thread's generator or the number of threads. */
typedef struct wg_loader wg_loader;
/** Options of wg_loader_new. */
typedef struct {
    wg_tokens *tokens;
    int64_t batch, block;  /**< at least 1 */
    wg_examples *examples; /**< instead of tokens; without block */
    uint64_t seed;
    bool sequential;
    bool shuffle; /**< needs sequential */
    char end;
} wg_loader_args;
/** Yours, to be freed with wg_loader_free. It keeps the tokens' or examples' memory alive. NULL and
 * WG_EARG: neither or both given, batch or block below 1, or too few tokens: block + 1 are needed, 2
 * if sequential. */
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
/** The position as numbers, for checkpoints: pass, samples drawn in it, seed, tokens or examples in all. */
WG_API void wg_loader_position(const wg_loader *l, int64_t at[4]);
/** Puts l, seed included, where another loader of as many tokens was. WG_EARG and no change if it
 * does not fit. */
WG_API wg_status wg_loader_seek(wg_loader *l, const int64_t at[4]);

#ifdef __cplusplus
}
#endif
#define wg_tokens_text(...) WG_HERE(wg_tokens_text(__VA_ARGS__))
#define wg_tokens_shard(...) WG_HERE(wg_tokens_shard(__VA_ARGS__))
#define wg_tokens_ids(...) WG_HERE(wg_tokens_ids(__VA_ARGS__))
#define wg_tokens_part(...) WG_HERE(wg_tokens_part(__VA_ARGS__))
#define wg_tokens_encode(...) WG_HERE(wg_tokens_encode(__VA_ARGS__))
#define wg_examples_open(...) WG_HERE(wg_examples_call(WG_ARGS(wg_examples_args, __VA_ARGS__)))
#define wg_examples_part(...) WG_HERE(wg_examples_part(__VA_ARGS__))
#define wg_questions_open(...) WG_HERE(wg_questions_open(__VA_ARGS__))
#define wg_loader_new(...) WG_HERE(wg_loader_call(WG_ARGS(wg_loader_args, __VA_ARGS__)))
#define wg_loader_next(...) WG_HERE(wg_loader_next(__VA_ARGS__))
#define wg_loader_seek(...) WG_HERE(wg_loader_seek(__VA_ARGS__))
#endif
