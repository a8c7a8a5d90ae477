/* SentencePiece's tokenizer.model: a protobuf of pieces, trainer_spec and normalizer_spec, of which
 * the few fields that matter are read. Sources: sentencepiece_model.proto;
 * https://protobuf.dev/programming-guides/encoding/. */
#include <string.h>

#include "spelling.h"

/* ---- the wire format ------------------------------------------------------------------------- */
typedef struct {
    const unsigned char *at, *end;
} message;

typedef struct {
    uint64_t number; /* of the field */
    uint64_t value;  /* of a varint, or the bits of a fixed32 or fixed64 */
    message content; /* of a length-delimited field */
} field;

static bool varint(message *m, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && m->at < m->end; shift += 7) {
        const unsigned char c = *m->at++;
        *value |= (uint64_t)(c & 0x7F) << shift;
        if (c < 0x80) return true;
    }
    return false;
}

/* The next field; false at the end, and where it is malformed (then m->at is NULL). */
static bool next(message *m, field *f)
{
    if (m->at == m->end) return false;
    const unsigned char *begin = m->at;
    uint64_t tag, size = 0;
    *f = (field) { .content = { begin, begin } };
    if (!varint(m, &tag)) goto malformed;
    f->number = tag >> 3;
    switch (tag & 7) {
    case 0:
        if (!varint(m, &f->value)) goto malformed;
        return true;
    case 1: size = 8; break;
    case 2:
        if (!varint(m, &size)) goto malformed;
        break;
    case 5: size = 4; break;
    default: goto malformed;
    }
    if (size > (uint64_t)(m->end - m->at)) goto malformed;
    f->content = (message) { m->at, m->at + size };
    if ((tag & 7) != 2) memcpy(&f->value, m->at, size);
    m->at += size;
    return true;
malformed:
    m->at = NULL;
    return false;
}

/* ---- what the messages mean ------------------------------------------------------------------ */
typedef struct {
    int64_t model_type; /* 1 Unigram, 2 BPE, 3 word, 4 character */
    bool byte_fallback, suffix;
    int64_t unknown, bos, eos, padding;
    bool dummy_prefix, squeezes, escapes;
    message map;
} spec;

/* Field `number` of m as an integer. */
static bool read_trainer(message m, spec *s)
{
    field f;
    while (next(&m, &f)) {
        const int64_t v = (int64_t)f.value;
        switch (f.number) {
        case 3: s->model_type = v; break;
        case 24: s->suffix = v != 0; break;
        case 35: s->byte_fallback = v != 0; break;
        case 40: s->unknown = v; break;
        case 41: s->bos = v; break;
        case 42: s->eos = v; break;
        case 43: s->padding = v; break;
        default: break;
        }
    }
    return m.at != NULL;
}

static bool read_normalizer(message m, spec *s)
{
    field f;
    while (next(&m, &f)) {
        switch (f.number) {
        case 2: s->map = f.content; break;
        case 3: s->dummy_prefix = f.value != 0; break;
        case 4: s->squeezes = f.value != 0; break;
        case 5: s->escapes = f.value != 0; break;
        default: break;
        }
    }
    return m.at != NULL;
}

static wg_status malformed(const char *path, const char *what)
{
    return wg_raise(WG_EFORMAT, "%s: no SentencePiece model: %s is malformed", path, what);
}

static wg_status read_piece(wg_tokenizer *t, message m, const char *path)
{
    field f;
    message text = { NULL, NULL };
    float score = 0;
    uint64_t type = WGI_TOKEN_NORMAL;
    while (next(&m, &f)) {
        if (f.number == 1) text = f.content;
        if (f.number == 2) memcpy(&score, &f.value, sizeof score);
        if (f.number == 3) type = f.value;
    }
    const int64_t id = t->vocab.n;
    if (!m.at || !text.at || text.at == text.end || type < WGI_TOKEN_NORMAL ||
        type > WGI_TOKEN_BYTE)
        return wg_raise(WG_EFORMAT, "%s: no SentencePiece model: piece %lld is malformed", path,
                        (long long)id);
    const char *bytes = (const char *)text.at;
    const size_t n = (size_t)(text.end - text.at);
    if (wgi_put_spelled(t, id, WGI_MAX_VOCAB, bytes, n, (int)type, path)) return wg_error_code();
    wgi_token *k = &t->vocab.tokens[id];
    if (type == WGI_TOKEN_BYTE && k->type != WGI_TOKEN_BYTE)
        return wg_raise(WG_EFORMAT, "%s: piece %lld, \"%s\", is to be a byte and is none", path,
                        (long long)id, k->bytes);
    k->score = score;
    if (type != WGI_TOKEN_CONTROL && type != WGI_TOKEN_UNKNOWN) return WG_OK;
    const wgi_added_token a = {
        .bytes = k->bytes, .size = k->size, .id = (int32_t)id, .special = true
    };
    return wgi_added_put(&t->raw, a, false) ? wg_raise(WG_EMEM, "%s: out of memory", path) : WG_OK;
}

static wg_status read_specs(message m, spec *s, const char *path)
{
    field f;
    while (next(&m, &f)) {
        if (f.number == 2 && !read_trainer(f.content, s)) return malformed(path, "trainer_spec");
        if (f.number == 3 && !read_normalizer(f.content, s))
            return malformed(path, "normalizer_spec");
    }
    if (!m.at) return malformed(path, "the file");
    static const char *const types[] = { "type 0", "Unigram", "BPE", "word", "character" };
    if (s->model_type != 2)
        return wg_raise(WG_EFORMAT, "%s: a SentencePiece model of type %s; only BPE is supported",
                        path,
                        s->model_type >= 0 && s->model_type < 5 ? types[s->model_type] : "unknown");
    if (s->suffix)
        return wg_raise(WG_EFORMAT, "%s: treat_whitespace_as_suffix is not supported", path);
    return WG_OK;
}

/* The id if the piece there is a control token, as SentencePiece has it. */
static int64_t control(const wg_tokenizer *t, int64_t id)
{
    return id >= 0 && id < t->vocab.n && t->vocab.tokens[id].type == WGI_TOKEN_CONTROL ? id : -1;
}

static wg_status apply(wg_tokenizer *t, const spec *s, const char *path)
{
    t->unknown = -1;
    for (int64_t i = t->vocab.n; i-- > 0;)
        if (t->vocab.tokens[i].type == WGI_TOKEN_UNKNOWN) t->unknown = i;
    t->bos = control(t, s->bos);
    t->eos = control(t, s->eos);
    t->padding = control(t, s->padding);
    t->adds_bos = t->bos >= 0;
    t->fuses_unknown = true;
    t->prefix = s->dummy_prefix ? WGI_PREFIX_ALWAYS : WGI_PREFIX_NONE;
    t->strips = s->dummy_prefix || s->squeezes;
    t->normalizer.squeezes = s->squeezes;
    wg_status st = WG_OK;
    if (s->map.at != s->map.end)
        st = wgi_charsmap_read(&t->normalizer.map, (const char *)s->map.at,
                               (size_t)(s->map.end - s->map.at), path);
    if (!st && s->escapes)
        st = wgi_normalizer_add(&t->normalizer, WGI_NORM_REPLACE, WGI_SPACE_MARK, " ", path);
    return st ? st : wgi_pairs_from_scores(t, path);
}

wg_status wgi_open_sentencepiece(wg_tokenizer *t, const char *path, const wgi_mapping *file)
{
    const message all = { file->data, file->data + file->bytes };
    /* The defaults of sentencepiece_model.proto. */
    spec s = { .model_type = 1,
               .unknown = 0,
               .bos = 1,
               .eos = 2,
               .padding = -1,
               .dummy_prefix = true,
               .squeezes = true,
               .escapes = true };
    wg_status st = read_specs(all, &s, path);
    t->byte_fallback = s.byte_fallback;
    t->marks_spaces = s.escapes;
    field f;
    for (message m = all; !st && next(&m, &f);)
        if (f.number == 1) st = read_piece(t, f.content, path);
    return st ? st : apply(t, &s, path);
}
