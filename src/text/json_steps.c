/* tokenizer.json's normalizer, pre_tokenizer, post_processor and decoder. What is not known is
 * refused by name. Source: the `tokenizers` library's documentation and serialised form. */
#include <string.h>

#include "json.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* A boolean; `otherwise` if it is not there. */
static bool flag_of(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static bool is(const json_t *object, const char *type)
{
    return strcmp(text_of(object, "type"), type) == 0;
}

static wg_status unknown(const char *path, const char *what, const json_t *object)
{
    return wg_raise(WG_EFORMAT, "%s: %s \"%.60s\" is not supported", path, what,
                    text_of(object, "type"));
}

/* Calls fn for the object, or for each of a "Sequence"'s members under key. */
typedef wg_status (*step_fn)(wg_tokenizer *t, const json_t *object, const char *path);
static wg_status each(wg_tokenizer *t, const json_t *object, const char *key, step_fn fn,
                      const char *path)
{
    if (!object || json_is_null(object)) return WG_OK;
    if (!is(object, "Sequence")) return fn(t, object, path);
    const json_t *all = json_object_get(object, key), *member;
    size_t i;
    json_array_foreach(all, i, member)
    {
        const wg_status st = each(t, member, key, fn, path);
        if (st) return st;
    }
    return WG_OK;
}

/* ---- normalizer ------------------------------------------------------------------------------ */
/* Inside, a space stands where files have U+2581: both as text and as pattern. */
static wg_status add_replace(wg_tokenizer *t, const json_t *object, const char *path)
{
    const char *from = text_of(json_object_get(object, "pattern"), "String");
    const char *to = text_of(object, "content");
    if (!*from)
        return wg_raise(WG_EFORMAT, "%s: normalizer Replace: only strings are replaced", path);
    if (t->marks_spaces) {
        if (strcmp(from, " ") == 0 && strcmp(to, WGI_SPACE_MARK) == 0)
            return wgi_normalizer_add(&t->normalizer, WGI_NORM_REPLACE, WGI_SPACE_MARK, " ", path);
        if (strstr(from, WGI_SPACE_MARK) || strstr(to, WGI_SPACE_MARK))
            return wg_raise(WG_EFORMAT, "%s: normalizer Replace of \"%.20s\" is not supported",
                            path, from);
    }
    return wgi_normalizer_add(&t->normalizer, WGI_NORM_REPLACE, from, to, path);
}

static wg_status add_normalizer(wg_tokenizer *t, const json_t *object, const char *path)
{
    static const char *const forms[] = { "NFC", "NFD", "NFKC", "NFKD" };
    for (int i = 0; i < 4; i++)
        if (is(object, forms[i]))
            return wgi_normalizer_add(&t->normalizer, (wgi_norm_kind)(WGI_NORM_NFC + i), NULL, NULL,
                                      path);
    if (is(object, "Replace")) return add_replace(t, object, path);
    if (!is(object, "Prepend")) return unknown(path, "normalizer", object);
    const char *text = text_of(object, "prepend");
    if (t->marks_spaces && strcmp(text, WGI_SPACE_MARK) == 0) text = " ";
    return wgi_normalizer_add(&t->normalizer, WGI_NORM_PREPEND, NULL, text, path);
}

/* ---- pre_tokenizer --------------------------------------------------------------------------- */
static wg_status add_split(wg_tokenizer *t, const json_t *object, const char *path)
{
    const json_t *pattern = json_object_get(object, "pattern");
    const char *regex = text_of(pattern, "Regex"), *string = text_of(pattern, "String");
    const char *behavior = text_of(object, "behavior");
    const bool invert = flag_of(object, "invert", false);
    if (!*regex && !*string)
        return wg_raise(WG_EFORMAT, "%s: pre-tokenizer Split has no pattern", path);
    if (t->marks_spaces) {
        if (strcmp(string, " ") == 0) return WG_OK; /* no space is left where it is applied */
        return wg_raise(WG_EFORMAT, "%s: pre-tokenizer Split of texts with U+2581 for spaces",
                        path);
    }
    wgi_cut_kind kind;
    if (strcmp(behavior, "Isolated") == 0)
        kind = WGI_CUT_ISOLATED;
    else if (strcmp(behavior, "Removed") == 0)
        kind = invert ? WGI_CUT_MATCHES : WGI_CUT_GAPS;
    else
        return wg_raise(WG_EFORMAT, "%s: pre-tokenizer Split: behavior \"%.40s\" is not supported",
                        path, behavior);
    return wgi_words_add(&t->words, kind, *regex ? regex : string, !*regex, path);
}

static wg_status add_metaspace(wg_tokenizer *t, const json_t *object, const char *path)
{
    const char *scheme = text_of(object, "prepend_scheme");
    if (!*scheme) scheme = flag_of(object, "add_prefix_space", true) ? "always" : "never";
    if (strcmp(text_of(object, "replacement"), WGI_SPACE_MARK) != 0)
        return wg_raise(WG_EFORMAT, "%s: pre-tokenizer Metaspace: its replacement is not U+2581",
                        path);
    if (strcmp(scheme, "always") == 0)
        t->prefix = WGI_PREFIX_MISSING;
    else if (strcmp(scheme, "first") == 0)
        t->prefix = WGI_PREFIX_MISSING_FIRST;
    else if (strcmp(scheme, "never") != 0)
        return wg_raise(WG_EFORMAT, "%s: pre-tokenizer Metaspace: prepend_scheme \"%.40s\"", path,
                        scheme);
    if (wgi_normalizer_add(&t->normalizer, WGI_NORM_REPLACE, WGI_SPACE_MARK, " ", path))
        return wg_error_code();
    t->metaspace = true;
    if (!flag_of(object, "split", true)) return WG_OK;
    return wgi_words_add(&t->words, WGI_CUT_ISOLATED, " [^ ]*|[^ ]+", false, path);
}

/* Punctuation is Unicode's and all of ASCII's; alone, or runs of it. */
static wg_status add_punctuation(wg_tokenizer *t, const json_t *object, const char *path)
{
    const char *behavior = text_of(object, "behavior");
    const bool runs = strcmp(behavior, "Contiguous") == 0;
    if (!runs && *behavior && strcmp(behavior, "Isolated") != 0)
        return wg_raise(WG_EFORMAT,
                        "%s: pre-tokenizer Punctuation: behavior \"%.40s\" is not supported", path,
                        behavior);
    return wgi_words_add(&t->words, WGI_CUT_ISOLATED,
                         runs ? "[\\p{P}$+<=>^`|~]+" : "[\\p{P}$+<=>^`|~]", false, path);
}

static wg_status add_pre_tokenizer(wg_tokenizer *t, const json_t *object, const char *path)
{
    /* What follows ByteLevel sees bytes' spellings: to three digits (Falcon's) that is the same. */
    const char *regex = text_of(json_object_get(object, "pattern"), "Regex");
    if (t->cuts_spellings && strcmp(regex, "[0-9][0-9][0-9]") != 0)
        return wg_raise(WG_EFORMAT, "%s: pre-tokenizer \"%.60s\" after ByteLevel is not supported",
                        path, text_of(object, "type"));
    if (is(object, "Punctuation")) return add_punctuation(t, object, path);
    if (is(object, "Split")) return add_split(t, object, path);
    if (is(object, "Metaspace")) return add_metaspace(t, object, path);
    if (is(object, "Digits"))
        return wgi_words_add(&t->words, WGI_CUT_ISOLATED,
                             flag_of(object, "individual_digits", false) ? "\\p{N}" : "\\p{N}+",
                             false, path);
    if (!is(object, "ByteLevel")) return unknown(path, "pre-tokenizer", object);
    t->cuts_spellings = true;
    wg_status st = WG_OK;
    if (flag_of(object, "add_prefix_space", true))
        st = wgi_words_add(&t->words, WGI_CUT_SPACE, NULL, false, path);
    if (!st && flag_of(object, "use_regex", true))
        st = wgi_words_add(&t->words, WGI_CUT_ISOLATED, wgi_gpt2_pattern, false, path);
    return st;
}

/* What has to be known before the parts are read. */
static wg_status find_kind(wg_tokenizer *t, const json_t *object, const char *path)
{
    (void)path;
    const char *from = text_of(json_object_get(object, "pattern"), "String");
    if (is(object, "ByteLevel")) t->byte_level = true;
    if (is(object, "Metaspace")) t->marks_spaces = true;
    if (is(object, "Replace") && strcmp(from, " ") == 0 &&
        strcmp(text_of(object, "content"), WGI_SPACE_MARK) == 0)
        t->marks_spaces = true;
    return WG_OK;
}

wg_status wgi_json_before(wg_tokenizer *t, const json_t *root, const char *path)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    each(t, normalizer, "normalizers", find_kind, path);
    each(t, pre, "pretokenizers", find_kind, path);
    if (t->byte_level && t->marks_spaces)
        return wg_raise(WG_EFORMAT, "%s: a byte-level vocabulary with U+2581 for spaces", path);
    wg_status st = each(t, normalizer, "normalizers", add_normalizer, path);
    if (!st) st = each(t, pre, "pretokenizers", add_pre_tokenizer, path);
    return st;
}

/* ---- post_processor and decoder -------------------------------------------------------------- */
/* The token that a template puts; -1 with an error. */
static int64_t template_token(const json_t *object, const json_t *item, const char *path)
{
    const char *name = text_of(json_object_get(item, "SpecialToken"), "id");
    const json_t *ids =
        json_object_get(json_object_get(json_object_get(object, "special_tokens"), name), "ids");
    const json_t *id = json_array_get(ids, 0);
    if (json_array_size(ids) == 1 && json_is_integer(id) && json_integer_value(id) >= 0)
        return json_integer_value(id);
    wg_raise(WG_EFORMAT, "%s: post-processor: the token \"%.60s\" has not one id", path, name);
    return -1;
}

static wg_status add_template(wg_tokenizer *t, const json_t *object, const char *path)
{
    const json_t *single = json_object_get(object, "single"), *item;
    bool after = false;
    size_t i;
    json_array_foreach(single, i, item)
    {
        if (json_object_get(item, "Sequence")) {
            after = true;
            continue;
        }
        const int64_t id = template_token(object, item, path);
        if (id < 0) return wg_error_code();
        if (after ? t->adds_eos : t->adds_bos)
            return wg_raise(WG_EFORMAT, "%s: post-processor: more than one token %s a text", path,
                            after ? "after" : "before");
        *(after ? &t->adds_eos : &t->adds_bos) = true;
        *(after ? &t->eos : &t->bos) = id;
    }
    return WG_OK;
}

static wg_status add_post_processor(wg_tokenizer *t, const json_t *object, const char *path)
{
    if (is(object, "ByteLevel")) return WG_OK; /* offsets only */
    if (is(object, "TemplateProcessing")) return add_template(t, object, path);
    return unknown(path, "post-processor", object);
}

static wg_status add_decoder(wg_tokenizer *t, const json_t *object, const char *path)
{
    if (is(object, "ByteLevel") && t->byte_level) return WG_OK;
    if (is(object, "Fuse") || (is(object, "ByteFallback") && !t->byte_level)) return WG_OK;
    if (is(object, "Metaspace") && t->marks_spaces) {
        t->strips = t->prefix != WGI_PREFIX_NONE;
        return WG_OK;
    }
    const char *from = text_of(json_object_get(object, "pattern"), "String");
    if (is(object, "Replace") && t->marks_spaces && strcmp(from, WGI_SPACE_MARK) == 0 &&
        strcmp(text_of(object, "content"), " ") == 0)
        return WG_OK;
    const json_t *start = json_object_get(object, "start"), *stop = json_object_get(object, "stop");
    if (is(object, "Strip") && strcmp(text_of(object, "content"), " ") == 0 &&
        json_integer_value(start) == 1 && json_integer_value(stop) == 0) {
        t->strips = true;
        return WG_OK;
    }
    return unknown(path, "decoder", object);
}

wg_status wgi_json_after(wg_tokenizer *t, const json_t *root, const char *path)
{
    const wg_status st =
        each(t, json_object_get(root, "post_processor"), "processors", add_post_processor, path);
    if (st) return st;
    return each(t, json_object_get(root, "decoder"), "decoders", add_decoder, path);
}
