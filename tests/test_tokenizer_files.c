/* The files that tokenizers are opened from: what they mean, and what is refused. */
#include "tokenizer_samples.h"

static wg_tokenizer *open_sample(const sample *s)
{
    put_file(in_folder("sample"), s->bytes, s->n);
    return wg_tokenizer_open(in_folder("sample"));
}

/* ---- SentencePiece --------------------------------------------------------------------------- */
static wg_tokenizer *sentencepiece(sentencepiece_options o)
{
    static sample s;
    s.n = 0;
    add_sentencepiece(&s, o);
    wg_tokenizer *t = open_sample(&s);
    expect_no_error();
    return t;
}

START_TEST(sentencepiece_merges_by_score)
{
    wg_tokenizer *t = sentencepiece((sentencepiece_options) { .model_type = 2 });
    ck_assert_str_eq(pieces(t, "ab", false), " ab");
    ck_assert_str_eq(pieces(t, "abab", false),
                     " abab"); /* ab, ab, then _ab before abab, then all */
    ck_assert_str_eq(pieces(t, "ababab", false), " abab|ab");
    ck_assert_str_eq(pieces(t, " abab  a", false), " | abab| | |a");
    ck_assert_str_eq(pieces(t, "babab", false), " |b|abab");
    ck_assert_str_eq(pieces(t, "cdcdc", false), " |cd|cd|c"); /* equal scores: the leftmost */
    ck_assert_str_eq(pieces(t, "dcdcd", false), " |dc|dc|d");
    ck_assert_str_eq(pieces(t, "aof itb", false), " |a|of it|b");
    ck_assert_str_eq(pieces(t, "\xC3\xA9", false), " |\xC3\xA9");
    ck_assert_str_eq(encoded(t, "\n\xC3", false), "264 13 198"); /* as bytes: 3 + the byte */
    ck_assert_str_eq(pieces(t, "<s>ab</s>", true), "<s>| ab|</s>");
    ck_assert_str_eq(encoded(t, "", false), "");
    ck_assert_int_eq(wg_tokenizer_find(t, "<0x0A>"), 13);
    ck_assert_int_eq(wg_tokenizer_find(t, "</s>"), 2);
    ck_assert(wg_tokenizer_adds_bos(t) && wg_tokenizer_bos(t) == 1 && wg_tokenizer_eos(t) == 2);
    expect_same_text(t, " ab ", 4, "spaces");
    wg_tokenizer_free(t);
}
END_TEST

START_TEST(sentencepiece_without_bytes_fuses_the_unknown)
{
    wg_tokenizer *t = sentencepiece(
        (sentencepiece_options) { .model_type = 2, .no_bytes = true, .squeezes = true });
    ck_assert_str_eq(pieces(t, "  axyz  \xE6\xBC\xA2 b  ", false), " |a|<unk>| |<unk>| |b");
    ck_assert_str_eq(pieces(t, "   ", false), "");
    wg_tokenizer_free(t);
    t = sentencepiece((sentencepiece_options) { .model_type = 2, .no_prefix = true });
    ck_assert_str_eq(pieces(t, "ab ab", false), "ab| ab");
    wg_tokenizer_free(t);
}
END_TEST

START_TEST(sentencepiece_maps_characters)
{
    /* One key, "X" -> "ab": the root's offset leads to 'X' (0x58), whose leaf says text 0. */
    uint32_t array[1 + 0x200] = { 0x100u << 10 };
    array[0x100 ^ 'X'] = (0x101u ^ 'X' ^ 0x100) << 10 | 0x100 | 'X'; /* to unit 0x101 */
    array[0x101] = 0x80000000u;
    const uint32_t size = sizeof array;
    sample map = { .n = 0 };
    add(&map, &size, 4);
    add(&map, array, sizeof array);
    add(&map, "ab", 3);
    sentencepiece_options o = { .model_type = 2, .map = map.bytes, .map_bytes = map.n };
    wg_tokenizer *t = sentencepiece(o);
    ck_assert_str_eq(pieces(t, "XaX", false), " ab|a|ab");
    wg_tokenizer_free(t);
    static sample s;
    s.n = 0;
    o.map_bytes--; /* the texts do not end with a NUL */
    add_sentencepiece(&s, o);
    ck_assert_ptr_null(open_sample(&s));
    expect_error(WG_EFORMAT, format("%s: its character map is malformed", in_folder("sample")));
}
END_TEST

START_TEST(other_sentencepiece_models_are_refused_by_name)
{
    static const char *const names[] = { NULL, "Unigram", NULL, "word", "character" };
    for (int type = 1; type < 5; type++) {
        if (!names[type]) continue;
        static sample s;
        s.n = 0;
        add_sentencepiece(&s, (sentencepiece_options) { .model_type = type });
        ck_assert_ptr_null(open_sample(&s));
        expect_error(WG_EFORMAT, format("%s: a SentencePiece model of type %s; only BPE is",
                                        in_folder("sample"), names[type]));
    }
}
END_TEST

START_TEST(llama2c_files_are_read)
{
    static sample s;
    s.n = 0;
    add_llama2c(&s);
    wg_tokenizer *t = open_sample(&s);
    expect_no_error();
    ck_assert_int_eq(wg_tokenizer_size(t), 259 + 7);
    ck_assert_str_eq(pieces(t, "ab ab", false), " ab| ab");
    ck_assert_str_eq(pieces(t, "babab", false), " |b|abab");
    ck_assert_str_eq(encoded(t, "\n", false), "263 13");
    ck_assert_str_eq(pieces(t, "<s>a", true), "<s>| |a");
    wg_tokenizer_free(t);
    put_file(in_folder("sample"), s.bytes, 1000);
    ck_assert_ptr_null(wg_tokenizer_open(in_folder("sample")));
    expect_error(WG_EFORMAT, in_folder("sample"));
}
END_TEST

/* ---- tokenizer.json -------------------------------------------------------------------------- */
START_TEST(parts_of_tokenizer_json_mean_what_they_say)
{
    static const struct {
        const char *parts, *model, *added, *text, *pieces;
    } cases[] = {
        { BYTE_LEVEL, "", "", "ab ba", "ab| |b|a" },
        { "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "", "", "ab ba",
          " |ab| |b|a" },
        { "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
          "{\"String\":\"b\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
          "\"add_prefix_space\":false,\"use_regex\":false}]}",
          "", "", "ab", "a|b" },
        { "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
          "{\"Regex\":\"[ab]+\"},\"behavior\":\"Removed\",\"invert\":true},{\"type\":\"ByteLevel\","
          "\"add_prefix_space\":false,\"use_regex\":false}]}",
          "", "", "ab a", "ab|a" },
        { BYTE_LEVEL ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"xy\"},"
                     "\"content\":\"b\"}",
          "", "", "axyxy", "ab|b" },
        { "\"pre_tokenizer\":null,\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
          "\"Prepend\",\"prepend\":\"" MARK
          "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
          "\"content\":\"" MARK "\"}]}",
          UNKNOWN, "", "ab xa", " |ab| |<unk>|a" },
        { "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK
          "\",\"prepend_scheme\":\"first\",\"split\":false}",
          UNKNOWN "\"fuse_unk\":true,", "", "ab xxa", " |ab| |<unk>|a" },
        { BYTE_LEVEL, "", "{\"id\":6,\"content\":\"<x>\",\"special\":true,\"lstrip\":true}",
          "ab  <x>a", "ab|<x>|a" },
        { BYTE_LEVEL, "", "{\"id\":6,\"content\":\"ba\",\"special\":false,\"normalized\":false}",
          "abab", "a|ba|b" },
        { BYTE_LEVEL, "\"ignore_merges\":true,", "", "ab", "ab" },
        { "\"pre_tokenizer\":null,\"normalizer\":{\"type\":\"NFC\"}", UNKNOWN, "",
          "aG\xCC\x87\xFF"
          "b",
          "a|\xC4\xA0|<unk>|b" }, /* G and a dot above are one character */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wg_tokenizer *t =
            open_text("t.json", small_json(cases[i].parts, cases[i].model, cases[i].added));
        ck_assert_msg(strcmp(pieces(t, cases[i].text, true), cases[i].pieces) == 0,
                      "case %zu: got %s, want %s", i, pieces(t, cases[i].text, true),
                      cases[i].pieces);
        wg_tokenizer_free(t);
    }
}
END_TEST

START_TEST(combining_marks_are_ordered_in_any_number)
{
    wg_tokenizer *t =
        open_text("t.json", small_json("\"pre_tokenizer\":null,\"normalizer\":{\"type\":\"NFC\"}",
                                       UNKNOWN "\"fuse_unk\":true,", ""));
    ck_assert_str_eq(encoded(t,
                             "G\xCC\x96\xCC\x87"
                             "b",
                             false),
                     "3 5 1"); /* class 220, 230 */
    ck_assert_str_eq(encoded(t,
                             "G\xCC\x87\xCC\x96"
                             "b",
                             false),
                     "3 5 1");
    enum { N = 1 << 19 }; /* by exchanging neighbours this would take minutes */
    char *text = malloc(4 * N + 2);
    text[0] = 'G';
    for (int i = 0; i < N; i++)
        memcpy(text + 1 + 4 * i, i % 2 ? "\xCC\x81\xCC\x96" : "\xCC\x87\xCC\x96", 4);
    text[4 * N + 1] = 'b';
    int64_t *ids;
    ck_assert_int_eq(wg_tokenizer_encode(t, text, 4 * N + 2, &ids), 3);
    ck_assert_int_eq(ids[0], 3);
    free(ids);
    free(text);
    wg_tokenizer_free(t);
}
END_TEST

START_TEST(the_unknown_in_a_row_are_one_token_where_spaces_are_unknown_too)
{
    wg_tokenizer *t = open_text(
        "t.json", "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
                  "\"content\":\"" MARK "\"},\"model\":{\"unk_token\":\"?\",\"fuse_unk\":true,"
                  "\"vocab\":{\"a\":0,\"?\":1},\"merges\":[]}}");
    ck_assert_str_eq(encoded(t, "axy z  a ya", false), "0 1 0 1 0");
    wg_tokenizer_free(t);
}
END_TEST

START_TEST(special_tokens_are_told_from_added_ones_that_begin_alike)
{
    wg_tokenizer *t = open_text(
        "t.json",
        small_json(BYTE_LEVEL, UNKNOWN,
                   "{\"id\":6,\"content\":\"<x>\",\"special\":true},"
                   "{\"id\":7,\"content\":\"<x>y\",\"special\":false,\"normalized\":false},"
                   "{\"id\":8,\"content\":\"<z>\",\"special\":false}"));
    ck_assert_str_eq(encoded(t, "<x>a<x>y<z>", true), "6 0 7 8");
    ck_assert_str_eq(encoded(t, "<x>a<x>y<z>", false), "5 5 5 0 7 8");
    wg_tokenizer_free(t);
}
END_TEST

START_TEST(what_a_vocabulary_lacks_is_an_error)
{
    wg_tokenizer *t = open_text("t.json", small_json(BYTE_LEVEL, "", ""));
    int64_t *ids;
    ck_assert_int_eq(wg_tokenizer_encode(t, "axb", 3, &ids), -1);
    expect_error(WG_ENOTFOUND, "tokenizer_encode: the vocabulary has no token for byte 78");
    ck_assert_ptr_null(ids);
    ck_assert_int_eq(wg_tokenizer_encode(t, "a", 1, &ids, .bos = true), -1);
    expect_error(WG_EARG, "tokenizer_encode: .bos: this tokenizer has no token");
    wg_tokenizer_free(t);
}
END_TEST

#define PRE(type) "\"pre_tokenizer\":{\"type\":\"" type "\"}"
static const struct {
    const char *parts, *model, *added, *message; /* after "PATH: " */
} refused[] = {
    { PRE("Whitespace"), "", "", "pre-tokenizer \"Whitespace\" is not supported" },
    { PRE("BertPreTokenizer"), "", "", "pre-tokenizer \"BertPreTokenizer\" is not supported" },
    { BYTE_LEVEL ",\"normalizer\":{\"type\":\"Lowercase\"}", "", "",
      "normalizer \"Lowercase\" is not supported" },
    { BYTE_LEVEL
      ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x\"},\"content\":\"\"}",
      "", "", "normalizer Replace: only strings are replaced" },
    { BYTE_LEVEL ",\"post_processor\":{\"type\":\"BertProcessing\"}", "", "",
      "post-processor \"BertProcessing\" is not supported" },
    { BYTE_LEVEL ",\"decoder\":{\"type\":\"WordPiece\"}", "", "",
      "decoder \"WordPiece\" is not supported" },
    { "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}",
      "", "", "the pattern \"(\" does not compile: missing closing parenthesis" },
    { "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a[b]]\"},\"behavior\":"
      "\"Isolated\"}",
      "", "", "the pattern \"[a[b]]\": sets within sets are not supported" },
    { "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":"
      "\"MergedWithNext\"}",
      "", "", "pre-tokenizer Split: behavior \"MergedWithNext\" is not supported" },
    { "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},"
      "{\"type\":\"Digits\"}]}",
      "", "", "pre-tokenizer \"Digits\" after ByteLevel is not supported" },
    { BYTE_LEVEL, "\"dropout\":0.1,", "", "dropout of merges is not supported" },
    { BYTE_LEVEL, "\"end_of_word_suffix\":\"</w>\",", "", "end_of_word_suffix is not supported" },
    { BYTE_LEVEL, "\"unk_token\":\"none\",", "", "unk_token \"none\" is no token" },
    { BYTE_LEVEL, "", "{\"id\":0,\"content\":\"x\"}", "two tokens have id 0, \"a\" and \"x\"" },
    { BYTE_LEVEL, "", "{\"id\":9,\"content\":\"a\"}",
      "added token \"a\" has id 9, in the vocabulary it has 0" },
    { BYTE_LEVEL, "", "{\"id\":99999999,\"content\":\"x\"}", "token \"x\" has id 99999999" },
    { BYTE_LEVEL, "", "{\"id\":6,\"content\":\"x\",\"single_word\":true}",
      "added token \"x\": single_word is not supported" },
    { BYTE_LEVEL, "", "{\"content\":\"x\"}", "added token 0 has no id" },
};

START_TEST(what_is_not_supported_is_refused_by_name)
{
    const char *path = in_folder("refused.json");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        put_text(path, small_json(refused[i].parts, refused[i].model, refused[i].added));
        ck_assert_msg(wg_tokenizer_open(path) == NULL, "accepted: %s", refused[i].message);
        expect_error(WG_EFORMAT, format("%s: %s", path, refused[i].message));
    }
    static const char *const types[] = { "Unigram", "WordPiece", "WordLevel" };
    for (int i = 0; i < 3; i++) {
        put_text(path, format("{\"model\":{\"type\":\"%s\",\"vocab\":{}}}", types[i]));
        ck_assert_ptr_null(wg_tokenizer_open(path));
        expect_error(WG_EFORMAT,
                     format("%s: a model of type %s; only BPE is supported", path, types[i]));
    }
}
END_TEST

START_TEST(a_config_beside_names_the_ends)
{
    wg_tokenizer *t = wg_tokenizer_train(few_words, sizeof few_words - 1, 280);
    mkdir(in_folder("model"), 0777);
    const char *config = in_folder("model/tokenizer_config.json");
    ck_assert_int_eq(wg_tokenizer_save(t, in_folder("model/tokenizer.json")), WG_OK);
    wg_tokenizer_free(t);
    put_text(config, "{\"bos_token\":null,\"eos_token\":{\"content\":\" the\"}}");
    t = wg_tokenizer_open(in_folder("model"));
    expect_no_error();
    ck_assert_int_eq(wg_tokenizer_bos(t), -1);
    ck_assert_int_eq(wg_tokenizer_eos(t), wg_tokenizer_find(t, " the"));
    wg_tokenizer_free(t);
    put_text(config, "{\"bos_token\":\"nowhere\"}");
    ck_assert_ptr_null(wg_tokenizer_open(in_folder("model")));
    expect_error(WG_EFORMAT, format("%s: bos_token \"nowhere\" is no token", config));
}
END_TEST

/* ---- two files, folders ---------------------------------------------------------------------- */
START_TEST(vocabulary_and_merges_find_each_other)
{
    mkdir(in_folder("pair"), 0777);
    put_text(in_folder("pair/merges.txt"), "#version: 0.2\na b\n");
    ck_assert_ptr_null(wg_tokenizer_open(in_folder("pair/merges.txt")));
    expect_error(WG_ENOTFOUND, format("%s: a list of merges, and beside it neither vocab.json nor",
                                      in_folder("pair/merges.txt")));
    ck_assert_ptr_null(wg_tokenizer_open(in_folder("pair")));
    expect_error(WG_ENOTFOUND, format("%s: no tokenizer.json, vocab.json", in_folder("pair")));
    put_text(in_folder("pair/vocab.json"), TWO_TOKENS);
    static const char *const names[] = { "pair", "pair/vocab.json", "pair/merges.txt" };
    for (int i = 0; i < 3; i++) {
        wg_tokenizer *t = wg_tokenizer_open(in_folder(names[i]));
        expect_no_error();
        ck_assert_str_eq(pieces(t, "bab<|endoftext|>", true), "b|ab|<|endoftext|>");
        ck_assert_int_eq(wg_tokenizer_eos(t), 3);
        wg_tokenizer_free(t);
    }
    static const char *const wrong[][2] = {
        { "#version: 0.2\na c\n", "merge 1, \"a\" and \"c\": the second is no token" },
        { "a b\nb a\n", "merge 2, \"b\" and \"a\": what they make is no token" },
        { "a b c\n", "merge 1, \"a b c\", is no two words with a space between" },
        { "a b\n\nab\n", "merge 2, \"ab\", is no two words" },
        { "#version: 0.2\n", "no merges in it" },
    };
    for (int i = 0; i < 5; i++) {
        put_text(in_folder("pair/merges.txt"), wrong[i][0]);
        ck_assert_ptr_null(wg_tokenizer_open(in_folder("pair")));
        expect_error(WG_EFORMAT, format("%s/merges.txt: %s", in_folder("pair"), wrong[i][1]));
    }
    put_text(in_folder("pair/merges.txt"), "a b\n");
    put_text(in_folder("pair/tokenizer_config.json"), "{\"tokenizer_class\":\"BertTokenizer\"}");
    ck_assert_ptr_null(wg_tokenizer_open(in_folder("pair")));
    expect_error(WG_EFORMAT, format("%s/vocab.json: tokenizer_class \"BertTokenizer\" beside it",
                                    in_folder("pair")));
}
END_TEST

START_TEST(what_is_no_tokenizer_is_said_so)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *message;
    } cases[] = { { "", 0, "no tokenizer of a known format" },
                  { "abc", 3, "no tokenizer of a known format" },
                  { "\x7F"
                    "ELF\x02\x01",
                    6, "no tokenizer of a known format" },
                  { "{", 1, "no tokenizer of a known format" },
                  { "{   ", 4, "no JSON" },
                  { "{\"model\":[]}", 12, "\"model\" is missing" },
                  { "{\"a\":{}}", 8, "\"model\" is missing" },
                  { "some words of text\n", 19, "a list of merges, and beside it" } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_file(in_folder("what"), cases[i].bytes, cases[i].n);
        ck_assert_ptr_null(wg_tokenizer_open(in_folder("what")));
        ck_assert_int_ne(wg_error_code(), WG_OK);
        expect_error(wg_error_code(), format("%s: %s", in_folder("what"), cases[i].message));
    }
    ck_assert_ptr_null(wg_tokenizer_open(in_folder("nowhere")));
    expect_error(WG_ENOTFOUND, in_folder("nowhere"));
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("tokenizer_files",
                  (const TTest *[]) {
                      sentencepiece_merges_by_score, sentencepiece_without_bytes_fuses_the_unknown,
                      sentencepiece_maps_characters, other_sentencepiece_models_are_refused_by_name,
                      llama2c_files_are_read, parts_of_tokenizer_json_mean_what_they_say,
                      combining_marks_are_ordered_in_any_number,
                      the_unknown_in_a_row_are_one_token_where_spaces_are_unknown_too,
                      special_tokens_are_told_from_added_ones_that_begin_alike,
                      what_a_vocabulary_lacks_is_an_error, what_is_not_supported_is_refused_by_name,
                      a_config_beside_names_the_ends, vocabulary_and_merges_find_each_other,
                      what_is_no_tokenizer_is_said_so, NULL });
    folder_remove();
    return failed;
}
