/* Texts as tokens: byte-level BPE (GPT-2, Llama-3, Qwen2), SentencePiece BPE (Llama-2),
 * llama2.c's. */
#ifndef WENGERT_TEXT_H
#define WENGERT_TEXT_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- tokenizers ------------------------------------------------------------------------------ */
/** A vocabulary and how texts are cut by it. Never changes after it is made: many threads may
 * encode and decode with one at a time. */
typedef struct wg_tokenizer wg_tokenizer;
/** Opens a folder (its tokenizer.json, else vocab.json + merges.txt, else encoder.json + vocab.bpe,
 * else tokenizer.model), or a file:
 * - Hugging Face's tokenizer.json with a BPE model: byte-level, or of characters with byte
 *   fallback; its pre-tokenizer's patterns go to PCRE2. tokenizer_config.json beside it names bos
 *   and eos;
 * - GPT-2's encoder.json or vocab.bpe, Hugging Face's vocab.json or merges.txt: each finds the
 *   other beside it (Sennrich et al. 2016, arXiv:1508.07909; Radford et al. 2019);
 * - SentencePiece's tokenizer.model of the BPE kind (Kudo & Richardson 2018, arXiv:1808.06226);
 * - a GGUF file whose tokenizer.ggml.model is gpt2 or llama;
 * - llama2.c's tokenizer.bin.
 * What a file is is told by its content. Yours, to be freed; NULL and WG_ENOTFOUND, WG_EIO,
 * WG_EMEM or WG_EFORMAT: malformed, or it asks for what is not supported here (a Unigram or
 * WordPiece model, an unknown normalizer or pre-tokenizer), by name. */
WG_API wg_tokenizer *wg_tokenizer_open(const char *path);
/** NULL is fine. */
WG_API void wg_tokenizer_free(wg_tokenizer *t);
/** Ids are below this; 0 for NULL. */
WG_API int64_t wg_tokenizer_size(const wg_tokenizer *t);
/** The ids of the tokens that begin and end a text; -1: none. */
WG_API int64_t wg_tokenizer_bos(const wg_tokenizer *t);
WG_API int64_t wg_tokenizer_eos(const wg_tokenizer *t);
/** Whether the model expects bos before a text, eos after it. wg_tokenizer_encode adds neither by
 * itself. */
WG_API bool wg_tokenizer_adds_bos(const wg_tokenizer *t);
WG_API bool wg_tokenizer_adds_eos(const wg_tokenizer *t);
/** Whether id ends a text or a turn: eos, and special tokens such as <|endoftext|>, <|im_end|>,
 * <|eot_id|>, <|end_of_text|>, `</s>`. */
WG_API bool wg_tokenizer_is_end(const wg_tokenizer *t, int64_t id);
/** Whether id is a special token: one that stands for no text. */
WG_API bool wg_tokenizer_is_special(const wg_tokenizer *t, int64_t id);
/** The id of the token with exactly this text: a special token by its name ("<|im_end|>"), another
 * by the bytes it stands for (" the"), a byte token of SentencePiece as "<0x0A>"; -1 if there is
 * none. */
WG_API int64_t wg_tokenizer_find(const wg_tokenizer *t, const char *token);
/** What id stands for, NUL-terminated: a special token's name, another's bytes. It lives as long as
 * t; *bytes (may be NULL) is its length. NULL out of range (no error). */
WG_API const char *wg_tokenizer_token(const wg_tokenizer *t, int64_t id, int64_t *bytes);

/** Arguments of wg_tokenizer_encode. */
typedef struct {
    const wg_tokenizer *tokenizer;
    const char *text; /**< any bytes; may be NULL if `bytes` is 0 */
    int64_t bytes;
    int64_t **ids;
    bool bos;     /**< begin with bos; WG_EARG where there is none */
    bool special; /**< special tokens spelled in the text become their ids; else they are text */
    char end;
} wg_tokenizer_encode_args;
/** wg_tokenizer_encode(t, text, bytes, &ids, .bos = true): how many ids, and them in a new array
 * (to be freed with free). Time is O(n log n) in the longest word, linear in the rest.
 *
 * Bytes that are not UTF-8 are encoded too: a byte-level vocabulary takes each longest run of them
 * as a word, others spell them with byte tokens; so decoding gives the same bytes, except where the
 * vocabulary's own rules change the text (NFC, SentencePiece's whitespace, an unknown token).
 * -1 and *ids NULL: WG_EARG, WG_EMEM, WG_ENOTFOUND (a byte or character that a vocabulary without
 * byte and unknown tokens lacks). */
WG_API int64_t wg_tokenizer_encode_call(wg_tokenizer_encode_args a);

/** Arguments of wg_tokenizer_decode. */
typedef struct {
    const wg_tokenizer *tokenizer;
    const int64_t *ids;
    int64_t n;
    int64_t *bytes;    /**< the length of the text; may be NULL */
    bool skip_special; /**< special tokens give nothing; else their names */
    char end;
} wg_tokenizer_decode_args;
/** wg_tokenizer_decode(t, ids, n, &bytes): the text, NUL-terminated, to be freed with free; it may
 * hold NULs and malformed UTF-8. The space that SentencePiece puts before a text is taken away
 * again. NULL and WG_EARG, WG_EMEM or WG_EINDEX (an id out of range). */
WG_API char *wg_tokenizer_decode_call(wg_tokenizer_decode_args a);

/* ---- decoding as tokens come ----------------------------------------------------------------- */
/** Gives text only in whole UTF-8 characters; for one thread at a time. */
typedef struct wg_decoder wg_decoder;
/** Arguments of wg_decoder_new. */
typedef struct {
    const wg_tokenizer *tokenizer; /**< has to outlive the decoder */
    bool skip_special;
    bool continued; /**< a text stands before: the first token keeps its leading space */
    char end;
} wg_decoder_args;
/** wg_decoder_new(t, .skip_special = true). Yours, to be freed; NULL and WG_EARG or WG_EMEM. */
WG_API wg_decoder *wg_decoder_call(wg_decoder_args a);
/** NULL is fine. */
WG_API void wg_decoder_free(wg_decoder *d);
/** Takes the next token and gives the text that is complete now, possibly empty, NUL-terminated; it
 * lives until the next call. Bytes that cannot become a character are given as they are. *bytes may
 * be NULL. NULL and WG_EARG, WG_EINDEX or WG_EMEM. */
WG_API const char *wg_decoder_put(wg_decoder *d, int64_t id, int64_t *bytes);
/** What is left: the beginning of a character that never became whole. The decoder then begins
 * anew. */
WG_API const char *wg_decoder_end(wg_decoder *d, int64_t *bytes);

/* ---- making one ------------------------------------------------------------------------------ */
/** Trains a byte-level BPE vocabulary on a text: the 256 bytes, merges of the most frequent pair of
 * neighbours within words (GPT-2's pattern; of equally frequent ones the pair with the smaller
 * ids), and <|endoftext|> as the last id, `vocab` (at least 257) in all; fewer if no pair is left
 * that comes twice. The same text gives the same vocabulary. Source: Sennrich et al. 2016,
 * arXiv:1508.07909. Yours, to be freed; NULL and WG_EARG or WG_EMEM. */
WG_API wg_tokenizer *wg_tokenizer_train(const char *text, int64_t bytes, int64_t vocab);
/** Writes Hugging Face's tokenizer.json, whole or not at all. It gives the same ids here and there,
 * but for SentencePiece's (and llama2.c's) tokenizers: their scores become ranks of merges, as
 * Hugging Face converts them. WG_EARG for one that the format cannot hold, WG_EIO, WG_EMEM. */
WG_API WG_MUST_CHECK wg_status wg_tokenizer_save(const wg_tokenizer *t, const char *path);
struct wg_gguf_writer;
/** Puts the keys tokenizer.ggml.* of a GGUF file: model gpt2 with the name of its pre-tokenizer, or
 * llama with scores (of ranked merges, when they are SentencePiece's, made of the ranks). A normal
 * form (NFC) is not written: llama.cpp has none. WG_EARG for one that GGUF has no name for, or
 * cannot hold; WG_EMEM; a pending error is returned. */
WG_API wg_status wg_tokenizer_put_gguf(const wg_tokenizer *t, struct wg_gguf_writer *w);

#ifdef __cplusplus
}
#endif
#define wg_tokenizer_open(...) WG_HERE(wg_tokenizer_open(__VA_ARGS__))
#define wg_tokenizer_encode(...)                                                                   \
    WG_HERE(wg_tokenizer_encode_call(WG_ARGS(wg_tokenizer_encode_args, __VA_ARGS__)))
#define wg_tokenizer_decode(...)                                                                   \
    WG_HERE(wg_tokenizer_decode_call(WG_ARGS(wg_tokenizer_decode_args, __VA_ARGS__)))
#define wg_decoder_new(...) WG_HERE(wg_decoder_call(WG_ARGS(wg_decoder_args, __VA_ARGS__)))
#define wg_decoder_put(...) WG_HERE(wg_decoder_put(__VA_ARGS__))
#define wg_tokenizer_train(...) WG_HERE(wg_tokenizer_train(__VA_ARGS__))
#define wg_tokenizer_put_gguf(...) WG_HERE(wg_tokenizer_put_gguf(__VA_ARGS__))
#define wg_tokenizer_save(...) WG_HERE(wg_tokenizer_save(__VA_ARGS__))
#endif
