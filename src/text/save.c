/* A tokenizer as Hugging Face's tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "io/replace.h"
#include "json.h"
#include "tensor/internal.h"

static json_t *named(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

static json_t *sequence(const char *key, json_t *members)
{
    return json_pack("{s:s, s:o}", "type", "Sequence", key, members);
}

/* ---- what comes before and after the model --------------------------------------------------- */
static json_t *replace_of(const char *from, const char *to)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from, "content",
                     to);
}

static json_t *normalizers_of(const wg_tokenizer *t)
{
    static const char *const forms[] = { "NFC", "NFD", "NFKC", "NFKD" };
    json_t *all = json_array();
    if (t->prefix == WGI_PREFIX_ALWAYS)
        json_array_append_new(
            all, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", WGI_SPACE_MARK));
    for (int i = 0; i < t->normalizer.n; i++) {
        const wgi_norm_step *s = &t->normalizer.step[i];
        const bool marks = t->marks_spaces && s->to && strcmp(s->to, " ") == 0;
        if (s->kind == WGI_NORM_PREPEND)
            json_array_append_new(all, json_pack("{s:s, s:s}", "type", "Prepend", "prepend",
                                                 marks ? WGI_SPACE_MARK : s->to));
        else if (s->kind != WGI_NORM_REPLACE)
            json_array_append_new(all, named(forms[s->kind - WGI_NORM_NFC]));
        else if (!marks || strcmp(s->from, WGI_SPACE_MARK) != 0)
            json_array_append_new(all, replace_of(s->from, s->to));
        else if (!t->metaspace) /* see add_replace in json_steps.c: inside it is the other way */
            json_array_append_new(all, replace_of(" ", WGI_SPACE_MARK));
    }
    if (t->marks_spaces && t->normalizer.n == 0) /* llama2.c's know no U+2581 */
        json_array_append_new(all, replace_of(" ", WGI_SPACE_MARK));
    if (json_array_size(all)) return sequence("normalizers", all);
    json_decref(all);
    return json_null();
}

static json_t *split_of(const wgi_cut *c)
{
    const bool isolated = c->kind == WGI_CUT_ISOLATED;
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern",
                     c->literal ? "String" : "Regex", c->pattern, "behavior",
                     isolated ? "Isolated" : "Removed", "invert", c->kind == WGI_CUT_MATCHES);
}

static json_t *byte_level_of(bool space, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", space,
                     "trim_offsets", 1, "use_regex", regex);
}

/* A space that is put before comes with ByteLevel, so only GPT-2's pattern may follow it. */
static json_t *pre_tokenizers_of(const wg_tokenizer *t)
{
    static const char *const schemes[] = { "never", "always", "always", "first" };
    const wgi_words *w = &t->words;
    if (t->metaspace)
        return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", WGI_SPACE_MARK,
                         "prepend_scheme", schemes[t->prefix], "split", w->n > 0);
    json_t *all = json_array();
    int n = w->n;
    const bool regex = n && w->cut[n - 1].kind == WGI_CUT_ISOLATED &&
                       strcmp(w->cut[n - 1].pattern, wgi_gpt2_pattern) == 0;
    n -= regex;
    const bool space = n && w->cut[n - 1].kind == WGI_CUT_SPACE;
    n -= space;
    for (int i = 0; i < n; i++) json_array_append_new(all, split_of(&w->cut[i]));
    if (t->byte_level) json_array_append_new(all, byte_level_of(space, regex));
    const size_t members = json_array_size(all);
    json_t *result = members == 0   ? json_null()
                     : members == 1 ? json_incref(json_array_get(all, 0))
                                    : sequence("pretokenizers", json_incref(all));
    json_decref(all);
    return result;
}

static json_t *decoder_of(const wg_tokenizer *t)
{
    if (t->byte_level) return byte_level_of(true, true);
    json_t *all = json_array();
    if (t->marks_spaces) json_array_append_new(all, replace_of(WGI_SPACE_MARK, " "));
    if (t->byte_fallback) json_array_append_new(all, named("ByteFallback"));
    json_array_append_new(all, named("Fuse"));
    if (t->strips)
        json_array_append_new(all, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content",
                                             " ", "start", 1, "stop", 0));
    return sequence("decoders", all);
}

static json_t *special_item(const wg_tokenizer *t, int64_t id)
{
    return json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", t->vocab.tokens[id].bytes, "type_id",
                     0);
}

static json_t *template_of(const wg_tokenizer *t)
{
    if (!t->adds_bos && !t->adds_eos)
        return t->byte_level ? byte_level_of(true, true) : json_null();
    json_t *both[2], *tokens = json_object();
    for (int k = 0; k < 2; k++) {
        both[k] = json_array();
        for (int part = 0; part <= k; part++) {
            if (t->adds_bos) json_array_append_new(both[k], special_item(t, t->bos));
            json_array_append_new(both[k], json_pack("{s:{s:s, s:i}}", "Sequence", "id",
                                                     part ? "B" : "A", "type_id", part));
            if (t->adds_eos) json_array_append_new(both[k], special_item(t, t->eos));
        }
    }
    const int64_t ids[] = { t->adds_bos ? t->bos : -1, t->adds_eos ? t->eos : -1 };
    for (int i = 0; i < 2; i++) {
        if (ids[i] < 0) continue;
        const char *name = t->vocab.tokens[ids[i]].bytes;
        json_object_set_new(tokens, name,
                            json_pack("{s:s, s:[I], s:[s]}", "id", name, "ids", (json_int_t)ids[i],
                                      "tokens", name));
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", both[0],
                     "pair", both[1], "special_tokens", tokens);
}

/* ---- the model ------------------------------------------------------------------------------- */
/* All spellings, one after the other with NULs between; at[id] is where one begins. */
typedef struct {
    wgi_buffer text;
    size_t *at; /* (vocab.n) */
} spellings;

static const char *spelling(const spellings *s, int64_t id)
{
    return s->text.bytes + s->at[id];
}

static wg_status spell_all(const wg_tokenizer *t, spellings *s)
{
    s->at = wgi_malloc((size_t)t->vocab.n * sizeof *s->at);
    if (!s->at) return WG_EMEM;
    for (int64_t i = 0; i < t->vocab.n; i++) {
        s->at[i] = s->text.n;
        if (wgi_spell(t, i, &s->text) || wgi_buffer_put(&s->text, "", 1)) return WG_EMEM;
    }
    return WG_OK;
}

static wg_status put_vocab(const wg_tokenizer *t, const spellings *s, json_t *vocab)
{
    for (int64_t i = 0; i < t->vocab.n; i++) {
        if (!t->vocab.tokens[i].type) continue;
        const char *text = spelling(s, i);
        const size_t n = (i + 1 < t->vocab.n ? s->at[i + 1] : s->text.n) - s->at[i] - 1;
        if (strlen(text) != n || json_object_get(vocab, text) ||
            json_object_set_new(vocab, text, json_integer(i)) != 0)
            return wg_raise(
                WG_EARG,
                "tokenizer_save: token %lld, \"%.60s\": it is spelled as another one, or "
                "is no UTF-8, or holds a NUL",
                (long long)i, text);
    }
    return WG_OK;
}

static wg_status put_merges(const wg_tokenizer *t, const spellings *s, json_t *merges)
{
    wgi_pair *all = wgi_pairs_sorted(&t->pairs);
    wg_status st = all ? WG_OK : WG_EMEM;
    for (int64_t i = 0; i < t->pairs.n && !st; i++)
        st = json_array_append_new(merges,
                                   json_pack("s++", spelling(s, (int64_t)(all[i].key >> 32)), " ",
                                             spelling(s, (int64_t)(uint32_t)all[i].key)))
                 ? WG_EMEM
                 : WG_OK;
    free(all);
    return st;
}

static wg_status put_model(const wg_tokenizer *t, json_t *root)
{
    spellings s = { 0 };
    json_t *vocab = json_object(), *merges = json_array();
    wg_status st = spell_all(t, &s);
    if (!st) st = put_vocab(t, &s, vocab);
    if (!st) st = put_merges(t, &s, merges);
    const char *unknown = st || t->unknown < 0 ? NULL : spelling(&s, t->unknown);
    json_t *model =
        json_pack("{s:s, s:n, s:s?, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                  "unk_token", unknown, "continuing_subword_prefix", "end_of_word_suffix",
                  "fuse_unk", t->fuses_unknown, "byte_fallback", t->byte_fallback, "ignore_merges",
                  t->whole_words, "vocab", vocab, "merges", merges);
    if (json_object_set_new(root, "model", model) && !st) st = WG_EMEM;
    free(s.text.bytes);
    free(s.at);
    return st;
}

/* ---- added tokens ---------------------------------------------------------------------------- */
static const wgi_added_token *added_of(const wgi_added *a, int64_t id)
{
    for (int64_t i = 0; i < a->n; i++)
        if (a->tokens[i].id == id) return &a->tokens[i];
    return NULL;
}

static json_t *added_tokens_of(const wg_tokenizer *t)
{
    json_t *all = json_array();
    for (int64_t i = 0; i < t->vocab.n; i++) {
        const wgi_token *k = &t->vocab.tokens[i];
        if (!t->is_special[i] && k->type != WGI_TOKEN_USER) continue;
        const wgi_added_token *a = added_of(&t->raw, i), *b = added_of(&t->normalized, i);
        const wgi_added_token *token = a ? a : b;
        json_array_append_new(all,
                              json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i,
                                        "content", k->bytes, "single_word", 0, "lstrip",
                                        token && token->left, "rstrip", token && token->right,
                                        "normalized", !a && b, "special", (int)t->is_special[i]));
    }
    return all;
}

/* ---- the file -------------------------------------------------------------------------------- */
static wg_status check(const wg_tokenizer *t)
{
    if (t->frozen.n || t->normalizer.map.n || t->normalizer.squeezes)
        return wg_raise(WG_EARG, "tokenizer_save: tokenizer.json cannot hold SentencePiece's "
                                 "character maps, user-defined pieces or removed white space");
    if (t->order == WGI_BY_SCORE && !t->marks_spaces)
        return wg_raise(WG_EARG, "tokenizer_save: SentencePiece without escaped white space");
    for (int i = 0; i < t->words.n; i++)
        if (t->words.cut[i].kind == WGI_CUT_SPACE && i + 1 != t->words.n &&
            (i + 2 != t->words.n || strcmp(t->words.cut[i + 1].pattern, wgi_gpt2_pattern) != 0))
            return wg_raise(WG_EARG, "tokenizer_save: a space is put before words that are cut on");
    return WG_OK;
}

static wg_status write_text(const char *path, const char *text)
{
    wgi_replace r;
    wg_status st = wgi_replace_begin(&r, path);
    if (!st) st = wgi_replace_write(&r, text, strlen(text));
    if (!st) st = wgi_replace_write(&r, "\n", 1);
    return st ? st : wgi_replace_commit(&r);
}

wg_status wg_tokenizer_save(const wg_tokenizer *t, const char *path)
{
    if (wg_error_code()) return wg_error_code();
    if (!t || !path) return wg_raise(WG_EARG, "tokenizer_save: no tokenizer or no file name given");
    if (check(t)) return WG_EARG;
    json_t *root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o}", "version", "1.0",
                             "truncation", "padding", "added_tokens", added_tokens_of(t),
                             "normalizer", normalizers_of(t), "pre_tokenizer", pre_tokenizers_of(t),
                             "post_processor", template_of(t), "decoder", decoder_of(t));
    wg_status st = root ? put_model(t, root) : WG_EMEM;
    char *text = st ? NULL : json_dumps(root, JSON_INDENT(1) | JSON_ENSURE_ASCII);
    if (!st && !text) st = WG_EMEM;
    if (!st) st = write_text(path, text);
    free(text);
    json_decref(root);
    if (st == WG_EMEM) wg_raise(WG_EMEM, "tokenizer_save: out of memory");
    return st;
}
