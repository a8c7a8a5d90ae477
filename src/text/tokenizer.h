/* A tokenizer from the inside. Those who open a file fill the fields up to the line below; then
 * wgi_tokenizer_finish checks them and makes the tables. */
#ifndef WGI_TEXT_TOKENIZER_H
#define WGI_TEXT_TOKENIZER_H
#include "io/mapping.h"
#include "normalize.h"
#include "vocab.h"
#include "wengert/text.h"
#include "words.h"

/* When a space is put before a text, or a part of it after a special token. */
typedef enum {
    WGI_PREFIX_NONE,
    WGI_PREFIX_ALWAYS,
    WGI_PREFIX_MISSING,      /* where it does not begin with one */
    WGI_PREFIX_MISSING_FIRST /* likewise, only at the beginning of the whole text */
} wgi_prefix;

/* Where the merges come from, which decides how they are written. */
typedef enum { WGI_BY_RANK, WGI_BY_SCORE } wgi_merge_order;

struct wg_tokenizer {
    wgi_vocab vocab;
    wgi_pairs pairs;
    wgi_merge_order order;
    bool byte_level;    /* words are bytes, else characters */
    bool whole_words;   /* a word that is a token is not cut further (ignore_merges) */
    bool marks_spaces;  /* not byte_level: spaces are written as U+2581 in files */
    bool byte_fallback; /* unknown characters are spelled by tokens of type BYTE */
    bool fuses_unknown; /* unknown characters in a row are one unknown token */
    wgi_normalizer normalizer;
    wgi_prefix prefix;
    bool metaspace; /* spaces were marked by a pre-tokenizer: tokenizer.json is written so, too */
    wgi_words words;
    bool cuts_spellings;       /* while tokenizer.json is read: its ByteLevel has come */
    wgi_added raw, normalized; /* tokens looked for before and after normalising */
    int64_t bos, eos, unknown, padding, turn_end; /* -1: none */
    bool adds_bos, adds_eos;
    bool strips; /* decoding takes one space from the beginning */

    /* ---- made by wgi_tokenizer_finish ---- */
    wgi_added frozen;          /* user-defined pieces inside words of characters */
    wgi_added kept;            /* what the normalizer leaves as it is */
    int32_t byte_id[256];      /* the token of a byte; -1: none */
    int32_t ascii_id[128];     /* the token of a character; -1: none */
    bool cuts_spaces;          /* no token goes on with a space after another character: such places
                                cut a text into words without a difference */
    bool *is_end, *is_special; /* (vocab.n) */
};

/* All fields unset; NULL and WG_EMEM. */
wg_tokenizer *wgi_tokenizer_new(const char *what);
/* Makes what is derived; what names the file in messages. */
wg_status wgi_tokenizer_finish(wg_tokenizer *t, const char *what);
/* Merges from scores: any two pieces that make a third, by its score. */
wg_status wgi_pairs_from_scores(wg_tokenizer *t, const char *what);

/* ---- the formats: each fills t, which its caller frees and finishes -------------------------- */
wg_status wgi_open_json(wg_tokenizer *t, const char *path, const wgi_mapping *file);
wg_status wgi_open_merges(wg_tokenizer *t, const char *vocab, const char *merges);
wg_status wgi_open_sentencepiece(wg_tokenizer *t, const char *path, const wgi_mapping *file);
wg_status wgi_open_llama2c(wg_tokenizer *t, const char *path, const wgi_mapping *file);
wg_status wgi_open_gguf(wg_tokenizer *t, const char *path);
#endif
