/* Small tokenizer files, made in memory: SentencePiece's protobuf, llama2.c's, JSON. */
#ifndef WENGERT_TESTS_TOKENIZER_SAMPLES_H
#define WENGERT_TESTS_TOKENIZER_SAMPLES_H
#include "tokenizer_check.h"

typedef struct {
    char bytes[1 << 16];
    size_t n;
} sample;

static inline void add(sample *s, const void *bytes, size_t n)
{
    ck_assert_uint_lt(s->n + n, sizeof s->bytes);
    memcpy(s->bytes + s->n, bytes, n);
    s->n += n;
}

/* ---- protobuf -------------------------------------------------------------------------------- */
static inline void add_varint(sample *s, uint64_t v)
{
    do {
        const char c = (char)((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
        add(s, &c, 1);
    } while (v >>= 7);
}

static inline void add_number(sample *s, int number, uint64_t v)
{
    add_varint(s, (uint64_t)number << 3);
    add_varint(s, v);
}

static inline void add_message(sample *s, int number, const void *bytes, size_t n)
{
    add_varint(s, (uint64_t)number << 3 | 2);
    add_varint(s, n);
    add(s, bytes, n);
}

static inline void add_piece(sample *s, const char *text, float score, int type)
{
    static sample piece;
    piece.n = 0;
    add_message(&piece, 1, text, strlen(text));
    add_varint(&piece, 2 << 3 | 5);
    add(&piece, &score, 4);
    if (type != 1) add_number(&piece, 3, (uint64_t)type);
    add_message(s, 1, piece.bytes, piece.n);
}

typedef struct {
    int model_type; /* 2: BPE */
    bool no_bytes, squeezes, no_prefix;
    const char *map; /* precompiled_charsmap */
    size_t map_bytes;
} sentencepiece_options;

#define MARK "\xE2\x96\x81"
/* Merges by score: _abab, ab, _ab, abab, and cd as well as dc; "of it" is user-defined. */
static inline void add_sentencepiece(sample *s, sentencepiece_options o)
{
    static const struct {
        const char *text;
        float score;
        int type;
    } words[] = { { "ab", -1, 1 },        { MARK "ab", -2, 1 },     { "abab", -3, 1 },
                  { MARK "abab", 0, 1 },  { "of" MARK "it", 0, 4 }, { MARK, -10, 1 },
                  { "a", -11, 1 },        { "b", -12, 1 },          { "i", -13, 1 },
                  { "\xC3\xA9", -14, 1 }, { "cd", -5, 1 },          { "dc", -5, 1 },
                  { "c", -15, 1 },        { "d", -15, 1 } };
    add_piece(s, "<unk>", 0, 2);
    add_piece(s, "<s>", 0, 3);
    add_piece(s, "</s>", 0, 3);
    for (int c = 0; c < 256 && !o.no_bytes; c++) add_piece(s, format("<0x%02X>", c), 0, 6);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        add_piece(s, words[i].text, words[i].score, words[i].type);
    sample spec = { .n = 0 };
    add_number(&spec, 3, (uint64_t)o.model_type);
    add_number(&spec, 35, !o.no_bytes);
    add_message(s, 2, spec.bytes, spec.n);
    spec.n = 0;
    if (o.map) add_message(&spec, 2, o.map, o.map_bytes);
    add_number(&spec, 3, !o.no_prefix);
    add_number(&spec, 4, o.squeezes);
    add_message(s, 3, spec.bytes, spec.n);
}

/* ---- llama2.c -------------------------------------------------------------------------------- */
static inline void add_llama2c_token(sample *s, const char *text, float score)
{
    const int32_t n = (int32_t)strlen(text);
    add(s, &score, 4);
    add(s, &n, 4);
    add(s, text, (size_t)n);
}

static inline void add_llama2c(sample *s)
{
    static const char *const words[] = { "ab", " ab", "abab", " abab", " ", "a", "b" };
    static const float scores[] = { -1, -2, -3, 0, -10, -11, -12 };
    const int32_t longest = 7;
    add(s, &longest, 4);
    add_llama2c_token(s, "<unk>", 0);
    add_llama2c_token(s, "\n<s>\n", 0);
    add_llama2c_token(s, "\n</s>\n", 0);
    for (int c = 0; c < 256; c++) add_llama2c_token(s, format("<0x%02X>", c), 0);
    for (int i = 0; i < 7; i++) add_llama2c_token(s, words[i], scores[i]);
}

/* ---- JSON ------------------------------------------------------------------------------------ */
/* A tokenizer.json of 6 tokens with these parts. */
static inline const char *small_json(const char *parts, const char *model, const char *added)
{
    static char text[4096];
    snprintf(
        text, sizeof text,
        "{\"version\":\"1.0\",\"added_tokens\":[%s],%s,\"model\":{\"type\":\"BPE\",%s\"vocab\":"
        "{\"a\":0,\"b\":1,\"ab\":2,\"\xC4\xA0\":3,\"\xE2\x96\x81\":4,\"<unk>\":5},"
        "\"merges\":[\"a b\"]}}",
        added, parts, model);
    return text;
}
/* A vocabulary for the merge of a and b. */
#define TWO_TOKENS "{\"a\": 0, \"b\": 1, \"ab\": 2, \"<|endoftext|>\": 3}"
#define BYTE_LEVEL                                                                                 \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}"
#define UNKNOWN "\"unk_token\":\"<unk>\","
#endif
