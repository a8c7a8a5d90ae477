/* What the tests of tokenizers share. */
#ifndef WENGERT_TESTS_TOKENIZER_CHECK_H
#define WENGERT_TESTS_TOKENIZER_CHECK_H
#include <stdint.h>

#include "folder.h"
#include "suite.h"

/* A text for small vocabularies to be trained on. */
static const char few_words[] =
    "In the beginning was the word, and the word was with the others. It's what we've said: 1234 "
    "words, and the others' words.\n\n    indented the and that this\tthe end. Caf\xC3\xA9, caf\xC3\xA9s.\n";

/* Ids as "1 2 3". */
static inline const char *ids_text(const int64_t *ids, int64_t n)
{
    static char text[4096];
    size_t at = 0;
    text[0] = '\0';
    for (int64_t i = 0; i < n && at + 24 < sizeof text; i++)
        at +=
            (size_t)snprintf(text + at, sizeof text - at, i ? " %lld" : "%lld", (long long)ids[i]);
    return text;
}

/* The ids of text, written as above. */
static inline const char *encoded(const wg_tokenizer *t, const char *text, bool special)
{
    int64_t *ids;
    const int64_t n = wg_tokenizer_encode(t, text, (int64_t)strlen(text), &ids, .special = special);
    expect_no_error();
    const char *said = ids_text(ids, n);
    free(ids);
    return said;
}

/* Text cut into tokens with '|' between. */
static inline const char *pieces(const wg_tokenizer *t, const char *text, bool special)
{
    static char said[4096];
    int64_t *ids;
    size_t at = 0;
    const int64_t n = wg_tokenizer_encode(t, text, (int64_t)strlen(text), &ids, .special = special);
    expect_no_error();
    said[0] = '\0';
    for (int64_t i = 0; i < n; i++)
        at += (size_t)snprintf(said + at, sizeof said - at, i ? "|%s" : "%s",
                               wg_tokenizer_token(t, ids[i], NULL));
    free(ids);
    return said;
}

/* decode(encode(text)) is text. */
static inline void expect_same_text(const wg_tokenizer *t, const char *text, size_t n,
                                    const char *what)
{
    int64_t *ids, size;
    const int64_t count = wg_tokenizer_encode(t, text, (int64_t)n, &ids);
    expect_no_error();
    char *back = wg_tokenizer_decode(t, ids, count, &size);
    expect_no_error();
    ck_assert_msg((size_t)size == n && memcmp(back, text, n) == 0 && back[n] == '\0',
                  "%s: %zu bytes came back as %lld: \"%.100s\" as \"%.100s\"", what, n,
                  (long long)size, text, back);
    free(ids);
    free(back);
}

static inline wg_tokenizer *open_text(const char *name, const char *text)
{
    put_text(in_folder(name), text);
    wg_tokenizer *t = wg_tokenizer_open(in_folder(name));
    expect_no_error();
    return t;
}
#endif
