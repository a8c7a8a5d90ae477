/* Prompts with their answers as token sequences, of which the answer is learned. */
#include "examples.h"

#include <stdlib.h>
#include <string.h>

#include "json_lines.h"
#include "wengert/error.h"

int64_t wg_encode_answer(wg_encode_fn encode, void *self, const char *prompt, const char *answer,
                         int64_t **ids, int64_t *of_prompt)
{
    *ids = NULL;
    *of_prompt = 0;
    const size_t p = strlen(prompt), n = strlen(answer);
    char *text = malloc(p + n + 1);
    if (!text) {
        wg_raise(WG_EMEM, "encode_answer: out of memory");
        return -1;
    }
    memcpy(text, prompt, p);
    memcpy(text + p, answer, n + 1);
    int64_t *first = NULL;
    const int64_t of_first = p ? encode(self, text, p, &first) : 0;
    const int64_t all = of_first < 0 ? -1 : encode(self, text, p + n, ids);
    while (*of_prompt < all && *of_prompt < of_first && first[*of_prompt] == (*ids)[*of_prompt])
        ++*of_prompt;
    free(first);
    free(text);
    if (all < 0 && !wg_error_code()) wg_raise(WG_EFORMAT, "encode_answer: encoding failed");
    return all;
}

/* ---- making ---------------------------------------------------------------------------------- */

static bool grow(void **array, int64_t want, int64_t *room, size_t each)
{
    if (want <= *room) return true;
    int64_t more = *room ? *room : 256;
    while (more < want) more *= 2;
    void *p = realloc(*array, (size_t)more * each);
    if (!p) {
        wg_raise(WG_EMEM, "examples_open: out of memory");
        return false;
    }
    *array = p;
    *room = more;
    return true;
}

static wg_status room_for(wg_examples *e, int64_t tokens)
{
    int64_t starts = e->room;
    if (!grow((void **)&e->start, e->n + 2, &starts, sizeof *e->start) ||
        !grow((void **)&e->answer, e->n + 2, &e->room, sizeof *e->answer) ||
        !grow((void **)&e->ids, e->start[e->n] + tokens, &e->ids_room, sizeof *e->ids))
        return wg_error_code();
    return WG_OK;
}

/* One line: ids (n), of which `prompt` are the prompt's. */
static wg_status append(wg_examples *e, const wg_examples_args *a, const wgi_json_lines *l,
                        const int64_t *ids, int64_t n, int64_t prompt)
{
    const int64_t begins = a->begin.set, ends = a->end_token.set;
    int64_t cut = a->block ? begins + n + ends - (a->block + 1) : 0, answer_end = n + ends;
    if (cut > 0 && a->refuse_long)
        return wgi_json_lines_bad(l, "%lld tokens, a block of %lld takes %lld",
                                  (long long)(begins + n + ends), (long long)a->block,
                                  (long long)a->block + 1);
    /* The prompt's beginning goes first, but one token stays in front of the answer. */
    int64_t from = 0;
    if (cut > 0 && prompt > !begins) {
        const int64_t spare = prompt - !begins;
        from = cut < spare ? cut : spare;
        cut -= from;
    }
    if (cut > 0) answer_end -= cut;
    const int64_t first = begins + prompt - from; /* of the answer */
    const int64_t length = begins + answer_end - from;
    if (length - (first > 0 ? first : 1) < 1)
        return wgi_json_lines_bad(l, "no token is left to be learned");
    if (room_for(e, length) != WG_OK) return wg_error_code();
    int32_t *out = e->ids + e->start[e->n];
    for (int64_t k = 0; k < length; k++) {
        const int64_t at = k - begins + from;
        const int64_t id = k < begins ? a->begin.value : at < n ? ids[at] : a->end_token.value;
        if (id < 0 || id >= a->vocab)
            return wgi_json_lines_bad(l, "token %lld is outside the vocabulary of %lld",
                                      (long long)id, (long long)a->vocab);
        out[k] = (int32_t)id;
    }
    e->answer[e->n] = first > 0 ? first : 1;
    e->start[e->n + 1] = e->start[e->n] + length;
    e->n++;
    return WG_OK;
}

static wg_status read_line(wg_examples *e, const wg_examples_args *a, const wgi_json_lines *l)
{
    const char *prompt = wgi_json_lines_text(l, "prompt"), *text = wgi_json_lines_text(l, "text"),
               *completion = wgi_json_lines_text(l, "completion"),
               *answer = wgi_json_lines_text(l, "answer");
    if (wg_error_code()) return wg_error_code();
    if (text ? prompt || completion || answer : !prompt || !completion == !answer)
        return wgi_json_lines_bad(
            l, "wanted are \"prompt\" and either \"completion\" or \"answer\", or \"text\" alone");
    if (!answer) answer = completion ? completion : text;
    int64_t *ids, of_prompt;
    const int64_t n =
        wg_encode_answer(a->encode, a->self, prompt ? prompt : "", answer, &ids, &of_prompt);
    if (n < 0) {
        char why[512];
        const wg_status code = wg_error_code();
        snprintf(why, sizeof why, "%s", wg_error_get()->message);
        wg_error_clear();
        wg_raise(code, "%s:%lld: %s", l->path, (long long)l->line, why);
    } else {
        append(e, a, l, ids, n, a->learn_prompt ? 0 : of_prompt);
    }
    free(ids);
    return wg_error_code();
}

static wg_status check(const wg_examples_args *a)
{
    if (!a->path || !a->encode)
        return wg_raise(WG_EARG, "examples_open: no path or no function that encodes");
    if (a->vocab < 1 || a->vocab > INT32_MAX)
        return wg_raise(WG_EARG, "examples_open: a vocabulary of %lld", (long long)a->vocab);
    if (a->block < 0 || a->block > INT32_MAX)
        return wg_raise(WG_EARG, "examples_open: a block of %lld", (long long)a->block);
    return WG_OK;
}

wg_examples *wg_examples_call(wg_examples_args a)
{
    if (wg_error_code() || check(&a) != WG_OK) return NULL;
    wg_examples *e = calloc(1, sizeof *e);
    if (!e) {
        wg_raise(WG_EMEM, "examples_open: out of memory");
        return NULL;
    }
    atomic_init(&e->refs, 1);
    e->vocab = a.vocab;
    wgi_json_lines l;
    wg_status st = wgi_json_lines_open(&l, a.path);
    if (!st && (e->start = malloc(2 * sizeof *e->start))) e->start[0] = 0;
    if (!st && !e->start) st = wg_raise(WG_EMEM, "examples_open: out of memory");
    while (!st && wgi_json_lines_next(&l)) st = read_line(e, &a, &l);
    wgi_json_lines_close(&l);
    if (!wg_error_code() && !e->n) wg_raise(WG_EFORMAT, "%s: there is no example in it", a.path);
    if (!wg_error_code()) return e;
    wg_examples_free(e);
    return NULL;
}

wg_examples *(wg_examples_part)(const wg_examples *e, int64_t first, int64_t last)
{
    if (wg_error_code()) return NULL;
    if (!e || first < 0 || last <= first || last > e->n) {
        wg_raise(WG_EINDEX, "examples_part: [%lld, %lld) of %lld examples", (long long)first,
                 (long long)last, (long long)wg_examples_count(e));
        return NULL;
    }
    const size_t n = (size_t)(last - first), ids = (size_t)(e->start[last] - e->start[first]);
    wg_examples *p = calloc(1, sizeof *p);
    if (p) {
        atomic_init(&p->refs, 1);
        p->start = malloc((n + 1) * sizeof *p->start);
        p->answer = malloc(n * sizeof *p->answer);
        p->ids = malloc(ids * sizeof *p->ids);
    }
    if (!p || !p->start || !p->answer || !p->ids) {
        wg_examples_free(p);
        wg_raise(WG_EMEM, "examples_part: out of memory");
        return NULL;
    }
    p->n = last - first;
    p->vocab = e->vocab;
    for (size_t i = 0; i <= n; i++) p->start[i] = e->start[first + (int64_t)i] - e->start[first];
    memcpy(p->answer, e->answer + first, n * sizeof *p->answer);
    memcpy(p->ids, e->ids + e->start[first], ids * sizeof *p->ids);
    return p;
}

wg_examples *wgi_examples_ref(wg_examples *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void wg_examples_free(wg_examples *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1) return;
    free(e->start);
    free(e->answer);
    free(e->ids);
    free(e);
}

/* ---- reading --------------------------------------------------------------------------------- */

int64_t wg_examples_count(const wg_examples *e)
{
    return e ? e->n : 0;
}

int64_t wg_examples_learned(const wg_examples *e)
{
    int64_t n = 0;
    for (int64_t i = 0; e && i < e->n; i++) n += e->start[i + 1] - e->start[i] - e->answer[i];
    return n;
}

int64_t wgi_examples_inputs(const wg_examples *e, int64_t i)
{
    return e->start[i + 1] - e->start[i] - 1;
}

void wgi_examples_fill(const wg_examples *e, int64_t i, int64_t T, int64_t *x, int64_t *y)
{
    const int32_t *ids = e->ids + e->start[i];
    const int64_t n = wgi_examples_inputs(e, i);
    for (int64_t t = 0; t < T; t++) {
        x[t] = t < n ? ids[t] : 0;
        y[t] = t < n && t + 1 >= e->answer[i] ? ids[t + 1] : -1;
    }
}
