/* Pre-tokenizing: a text is cut into words by patterns, one after the other, before anything
 * merges. The patterns are PCRE2's, with Unicode properties, compiled by its JIT where there is
 * one. */
#ifndef WGI_TEXT_WORDS_H
#define WGI_TEXT_WORDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wengert/error.h"

/* What becomes of a text that a pattern cuts. */
typedef enum {
    WGI_CUT_ISOLATED, /* matches and what lies between them are pieces */
    WGI_CUT_MATCHES,  /* matches are pieces, the rest is dropped */
    WGI_CUT_GAPS,     /* the other way */
    WGI_CUT_SPACE     /* no pattern: a space before each piece that begins with none */
} wgi_cut_kind;

typedef struct {
    wgi_cut_kind kind;
    char *pattern; /* as it was given; NULL for WGI_CUT_SPACE */
    bool literal;  /* the pattern is a plain string */
    struct pcre2_real_code_8 *code;
} wgi_cut;

enum { WGI_MAX_CUTS = 8 };
typedef struct {
    int n;
    wgi_cut cut[WGI_MAX_CUTS];
} wgi_words;

/* The patterns of GPT-2 (Radford et al. 2019, encoder.py), Llama-3 and Qwen2 (their
 * tokenizer.json). */
extern const char wgi_gpt2_pattern[], wgi_llama3_pattern[], wgi_qwen2_pattern[];

/* Adds a cut. WG_EFORMAT: the pattern does not compile, or means another thing to PCRE2 than to
 * Oniguruma, for which tokenizer.json's are written; WG_EMEM. what names the file in messages. */
wg_status wgi_words_add(wgi_words *w, wgi_cut_kind kind, const char *pattern, bool literal,
                        const char *what);
/* Adds the cuts that llama.cpp makes for a value of tokenizer.ggml.pre, and says whether a word
 * that is a token is cut no further. WG_EFORMAT: unknown. */
wg_status wgi_words_named(wgi_words *w, const char *name, bool *whole_words, const char *what);
/* The other way; false: there is no name for these cuts. */
bool wgi_words_name(const wgi_words *w, bool whole_words, char name[32]);
void wgi_words_free(wgi_words *w);

/* What one thread needs while it cuts. */
typedef struct {
    struct pcre2_real_match_data_8 *match[WGI_MAX_CUTS];
    struct pcre2_real_match_context_8 *context;
    bool jit;
} wgi_cutter;
/* WG_EMEM without raising. Free it also then. */
wg_status wgi_cutter_make(wgi_cutter *c, const wgi_words *w);
void wgi_cutter_free(wgi_cutter *c);

/* Takes a word, which lives only for the call; anything but WG_OK ends the cutting. */
typedef wg_status (*wgi_word_fn)(void *self, const char *word, size_t n);
/* Cuts text, n bytes, into words. Bytes that are no UTF-8 are words of their own, a longest run
 * each; the text between two of them is cut as if it stood alone. */
wg_status wgi_words_each(const wgi_words *w, wgi_cutter *c, const char *text, size_t n,
                         wgi_word_fn fn, void *self);
#endif
