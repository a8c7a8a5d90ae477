/* Patterns for PCRE2: those that are known, and what must be said otherwise than to Oniguruma. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/internal.h"
#include "words.h"

#define CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"
const char wgi_gpt2_pattern[] =
    CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
#define CASELESS(digits)                                                                           \
    "(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                  \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const char wgi_llama3_pattern[] = CASELESS("\\p{N}{1,3}");
const char wgi_qwen2_pattern[] = CASELESS("\\p{N}");

/* ---- by name --------------------------------------------------------------------------------- */
/* llama.cpp's names for pre-tokenizers (src/llama-vocab.cpp), by the patterns that they stand for.
 * The first of a row is the one that is written. */
static const struct {
    const char *names;
    bool whole_words;
    const char *patterns[4];
} named[] = {
    { " gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de jina-v2-code roberta-bpe mpt olmo jais ",
      false,
      { wgi_gpt2_pattern } },
    { " llama-bpe llama3 llama-v3 falcon3 ", true, { wgi_llama3_pattern } },
    { " smaug-bpe dbrx glm4 chatglm-bpe ", false, { wgi_llama3_pattern } },
    { " qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan ", false, { wgi_qwen2_pattern } },
    { " smollm starcoder refact command-r codeshell exaone minerva-7b ",
      false,
      { "\\p{N}", wgi_gpt2_pattern } },
    { " falcon ", false, { "[\\p{P}\\$\\+<=>\\^~\\|`]+", wgi_gpt2_pattern, "[0-9][0-9][0-9]" } },
    { " default ",
      false,
      { "[\\p{P}\\$\\+<=>\\^~\\|]+", wgi_gpt2_pattern, "\\p{N}+", "[0-9][0-9][0-9]" } },
};
enum { NAMED = sizeof named / sizeof named[0] };

wg_status wgi_words_named(wgi_words *w, const char *name, bool *whole_words, const char *what)
{
    char key[64];
    const int n = snprintf(key, sizeof key, " %s ", name);
    for (int i = 0; n < (int)sizeof key && i < NAMED; i++) {
        if (strchr(name, ' ') || !*name || !strstr(named[i].names, key)) continue;
        for (int k = 0; k < 4 && named[i].patterns[k]; k++)
            if (wgi_words_add(w, WGI_CUT_ISOLATED, named[i].patterns[k], false, what))
                return wg_error_code();
        *whole_words = named[i].whole_words;
        return WG_OK;
    }
    return wg_raise(WG_EFORMAT, "%s: pre-tokenizer \"%.60s\" is not supported", what, name);
}

static bool has_patterns(const wgi_words *w, const char *const patterns[4])
{
    for (int k = 0; k < 4; k++) {
        const wgi_cut *c = k < w->n ? &w->cut[k] : NULL;
        if (!c != !patterns[k]) return false;
        if (c &&
            (c->kind != WGI_CUT_ISOLATED || c->literal || strcmp(c->pattern, patterns[k]) != 0))
            return false;
    }
    return w->n <= 4;
}

bool wgi_words_name(const wgi_words *w, bool whole_words, char name[32])
{
    for (int i = 0; i < NAMED; i++) {
        if (named[i].whole_words != whole_words || !has_patterns(w, named[i].patterns)) continue;
        sscanf(named[i].names, " %31s", name);
        return true;
    }
    return false;
}

/* ---- from Oniguruma to PCRE2 ----------------------------------------------------------------- */
/* \s is Unicode's White_Space for Oniguruma; PCRE2 adds U+180E. Nested sets and && are Oniguruma's
 * alone and would silently mean something else. Returns the pattern for PCRE2 (to be freed); NULL
 * with *why. */
static char *translate(const char *pattern, const char **why)
{
    static const char space[] = "p{White_Space}";
    char *out = wgi_malloc(strlen(pattern) * sizeof space + 1), *o = out;
    *why = out ? NULL : "out of memory";
    bool in_set = false;
    for (const char *p = pattern; out && *p; p++) {
        if (*p == '\\' && (p[1] == 's' || p[1] == 'S')) {
            o += sprintf(o, "\\%s", space);
            if (*++p == 'S') o[1 - (int)sizeof space] = 'P';
            continue;
        }
        if (in_set && ((*p == '[' && p[1] != ':') || (*p == '&' && p[1] == '&')))
            *why = "sets within sets are not supported";
        if (*p == '\\' && p[1]) {
            *o++ = *p++;
        } else if (*p == '[' && !in_set) {
            in_set = true;
            if (p[1] == '^') *o++ = *p++;
            if (p[1] == ']') *o++ = *p++;
        } else if (*p == '[' && p[1] == ':') { /* [:alpha:] */
            const char *end = strstr(p, ":]");
            if (end)
                while (p <= end) *o++ = *p++;
        } else if (*p == ']') {
            in_set = false;
        }
        *o++ = *p;
    }
    if (out) *o = '\0';
    if (*why) {
        free(out);
        out = NULL;
    }
    return out;
}

static pcre2_code *compile(const char *pattern, bool literal, const char *what)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        wg_raise(WG_EMEM, "%s: out of memory", what);
        return NULL;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    /* ^ and $ match at lines, as in Oniguruma's syntax. */
    const uint32_t options =
        literal ? PCRE2_UTF | PCRE2_LITERAL
                : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    int error;
    PCRE2_SIZE at;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error, &at, context);
    pcre2_compile_context_free(context);
    if (code) {
        pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without a JIT its interpreter runs */
        return code;
    }
    unsigned char message[256];
    pcre2_get_error_message(error, message, sizeof message);
    wg_raise(error == PCRE2_ERROR_HEAP_FAILED ? WG_EMEM : WG_EFORMAT,
             "%s: the pattern \"%.200s\" does not compile: %s", what, pattern, (char *)message);
    return NULL;
}

wg_status wgi_words_add(wgi_words *w, wgi_cut_kind kind, const char *pattern, bool literal,
                        const char *what)
{
    if (w->n == WGI_MAX_CUTS)
        return wg_raise(WG_EFORMAT, "%s: more than %d steps of pre-tokenizing", what, WGI_MAX_CUTS);
    wgi_cut c = { .kind = kind, .literal = literal };
    if (pattern) {
        const char *why = NULL;
        char *said = literal ? NULL : translate(pattern, &why);
        if (why)
            return wg_raise(strcmp(why, "out of memory") ? WG_EFORMAT : WG_EMEM,
                            "%s: the pattern \"%.200s\": %s", what, pattern, why);
        c.code = compile(literal ? pattern : said, literal, what);
        free(said);
        if (!c.code) return wg_error_code();
        c.pattern = wgi_malloc(strlen(pattern) + 1);
        if (!c.pattern) {
            pcre2_code_free(c.code);
            return wg_raise(WG_EMEM, "%s: out of memory", what);
        }
        strcpy(c.pattern, pattern);
    }
    w->cut[w->n++] = c;
    return WG_OK;
}

void wgi_words_free(wgi_words *w)
{
    for (int i = 0; i < w->n; i++) {
        free(w->cut[i].pattern);
        pcre2_code_free(w->cut[i].code);
    }
    w->n = 0;
}
