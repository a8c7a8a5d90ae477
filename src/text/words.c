#define PCRE2_CODE_UNIT_WIDTH 8
#include "words.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "tensor/internal.h"

wg_status wgi_cutter_make(wgi_cutter *c, const wgi_words *w)
{
    *c = (wgi_cutter) { .context = pcre2_match_context_create(NULL) };
    if (!c->context) return WG_EMEM;
    uint32_t jit = 0;
    c->jit = pcre2_config(PCRE2_CONFIG_JIT, &jit) == 0 && jit;
    for (int i = 0; i < w->n; i++) {
        if (!w->cut[i].code) continue;
        c->match[i] = pcre2_match_data_create(1, NULL); /* where the match lies, no groups */
        size_t compiled = 0;
        pcre2_pattern_info(w->cut[i].code, PCRE2_INFO_JITSIZE, &compiled);
        c->jit &= compiled > 0;
        if (!c->match[i]) return WG_EMEM;
    }
    return WG_OK;
}

void wgi_cutter_free(wgi_cutter *c)
{
    for (int i = 0; i < WGI_MAX_CUTS; i++) pcre2_match_data_free(c->match[i]);
    pcre2_match_context_free(c->context);
    *c = (wgi_cutter) { 0 };
}

/* The interpreter is asked where the JIT's stack does not do. */
static int match(const wgi_cut *cut, wgi_cutter *c, int step, const char *text, size_t n,
                 size_t from)
{
    const uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    if (c->jit) {
        const int rc = pcre2_jit_match(cut->code, (PCRE2_SPTR)text, n, from, options,
                                       c->match[step], c->context);
        if (rc != PCRE2_ERROR_JIT_STACKLIMIT) return rc;
    }
    return pcre2_match(cut->code, (PCRE2_SPTR)text, n, from, options | PCRE2_NO_JIT, c->match[step],
                       c->context);
}

static wg_status cut_all(const wgi_words *w, wgi_cutter *c, int step, const char *text, size_t n,
                         wgi_word_fn fn, void *self);

static wg_status with_space(const wgi_words *w, wgi_cutter *c, int step, const char *text, size_t n,
                            wgi_word_fn fn, void *self)
{
    if (*text == ' ') return cut_all(w, c, step + 1, text, n, fn, self);
    char *copy = wgi_malloc(n + 1);
    if (!copy) return wg_raise(WG_EMEM, "tokenizer_encode: out of memory");
    copy[0] = ' ';
    memcpy(copy + 1, text, n);
    const wg_status st = cut_all(w, c, step + 1, copy, n + 1, fn, self);
    free(copy);
    return st;
}

/* Applies the cuts from `step` on to a text of valid UTF-8. */
static wg_status cut_all(const wgi_words *w, wgi_cutter *c, int step, const char *text, size_t n,
                         wgi_word_fn fn, void *self)
{
    if (n == 0) return WG_OK;
    if (step == w->n) return fn(self, text, n);
    const wgi_cut *cut = &w->cut[step];
    if (cut->kind == WGI_CUT_SPACE) return with_space(w, c, step, text, n, fn, self);
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(c->match[step]);
    wg_status st = WG_OK;
    for (size_t at = 0; at < n && !st;) {
        const int rc = match(cut, c, step, text, n, at);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
            unsigned char message[256];
            pcre2_get_error_message(rc, message, sizeof message);
            return wg_raise(rc == PCRE2_ERROR_NOMEMORY ? WG_EMEM : WG_EARG,
                            "tokenizer_encode: the pattern \"%.200s\" failed: %s", cut->pattern,
                            (char *)message);
        }
        const size_t begin = rc < 0 ? n : place[0], end = rc < 0 ? n : place[1];
        if (cut->kind != WGI_CUT_MATCHES)
            st = cut_all(w, c, step + 1, text + at, begin - at, fn, self);
        if (!st && cut->kind != WGI_CUT_GAPS)
            st = cut_all(w, c, step + 1, text + begin, end - begin, fn, self);
        at = end;
    }
    return st;
}

/* How many bytes from p on are valid UTF-8 (valid), or are not (else). */
static size_t run_of(const char *p, size_t n, bool valid)
{
    size_t i = 0;
    while (i < n) {
        if ((uint8_t)p[i] < 0x80) {
            if (!valid) break;
            i++;
            continue;
        }
        utf8proc_int32_t c;
        const utf8proc_ssize_t size =
            utf8proc_iterate((const uint8_t *)p + i, (utf8proc_ssize_t)(n - i), &c);
        if ((size > 0) != valid) break;
        i += size > 0 ? (size_t)size : 1;
    }
    return i;
}

/* A long run of spaces may take a few steps of backtracking a space: that is linear, and no error.
 * A pattern that takes exponentially many ends in one. */
static uint32_t step_limit(size_t n)
{
    const uint64_t steps = 10000000 + 64 * (uint64_t)n;
    return steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX;
}

wg_status wgi_words_each(const wgi_words *w, wgi_cutter *c, const char *text, size_t n,
                         wgi_word_fn fn, void *self)
{
    if (w->n == 0) return n ? fn(self, text, n) : WG_OK;
    pcre2_set_match_limit(c->context, step_limit(n));
    wg_status st = WG_OK;
    for (size_t at = 0; at < n && !st;) {
        const size_t valid = run_of(text + at, n - at, true);
        st = cut_all(w, c, 0, text + at, valid, fn, self);
        at += valid;
        const size_t broken = run_of(text + at, n - at, false);
        if (broken && !st) st = fn(self, text + at, broken);
        at += broken;
    }
    return st;
}
