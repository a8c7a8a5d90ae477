#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GPT2_END_OF_TEXT = 50256 };

/* Without a prompt: a new line, if the text has any; of shards the mark between documents. */
int64_t sample_prompt(const wg_tokens *tokens, const char *prompt, int64_t **ids)
{
    if (*prompt) return wg_tokens_encode(tokens, prompt, ids);
    int64_t first = 0;
    char text[5];
    while (first < wg_tokens_vocab(tokens) &&
           (wg_tokens_decode(tokens, first, text) != 1 || *text != '\n'))
        first++;
    if (first == wg_tokens_vocab(tokens))
        first = wg_tokens_decode(tokens, 0, text) ? 0 : GPT2_END_OF_TEXT;
    *ids = malloc(sizeof **ids);
    if (!*ids) {
        wg_raise(WG_EMEM, "sample: out of memory");
        return -1;
    }
    **ids = first;
    return 1;
}

/* Draws from logits (1, V). */
static int64_t draw(wg_tensor *logits, const settings *s)
{
    if (s->temperature == 0) return wg_item_int(wg_argmax(logits, WG_ALL, false));
    logits = wg_affine(logits, 1 / s->temperature, 0);
    if (s->top_k == 0 || s->top_k >= wg_size(logits, 1))
        return wg_item_int(wg_multinomial(wg_softmax(logits, -1), 1));
    wg_tensor *ids, *best = wg_topk(logits, s->top_k, -1, &ids); /* (1, k) */
    return wg_item_int(wg_gather(ids, 1, wg_multinomial(wg_softmax(best, -1), 1)));
}

static void print_token(const wg_tokens *tokens, int64_t id)
{
    char text[5];
    const int length = wg_tokens_decode(tokens, id, text);
    if (length)
        fwrite(text, 1, (size_t)length, stdout);
    else
        printf("%lld ", (long long)id);
    fflush(stdout);
}

/* ids: n tokens, room for s->sample_length more. The cache holds a block; when it is full, the last half of the text so far
 * is read again as the new beginning. */
static void write_tokens(wg_module *model, const wg_tokens *tokens, const settings *s, int64_t *ids,
                         int64_t n, wg_kv_cache *cache, const volatile int *stop)
{
    int64_t fresh = n;
    for (const int64_t end = n + s->sample_length; n < end && !*stop && !wg_error_code(); n++) {
        if (wg_kv_length(cache, NULL) + fresh > s->block) {
            wg_kv_truncate(cache, 0);
            const int64_t half = (s->block + 1) / 2;
            fresh = n < half ? n : half;
        }
        const wg_scope step = wg_scope_push();
        wg_tensor *x =
            wg_from(ids + n - fresh, (size_t)fresh * sizeof *ids, WG_I64, WG_DIMS(1, fresh));
        wg_tensor *logits =
            wg_transformer_step(model, x, &(wg_step) { .cache = cache }); /* (1, fresh, V) */
        wg_tensor *last = wg_select(logits, 1, -1);                       /* (1, V) */
        ids[n] = draw(wg_narrow(last, 1, 0, wg_tokens_vocab(tokens)), s);
        wg_scope_return(step, NULL);
        if (wg_error_code()) return;
        print_token(tokens, ids[n]);
        fresh = 1;
    }
}

void sample_print(wg_module *model, const wg_tokens *tokens, const settings *s,
                  const int64_t *prompt, int64_t n, int64_t step, const volatile int *stop)
{
    int64_t *ids = malloc((size_t)(n + s->sample_length) * sizeof *ids);
    if (!ids) {
        wg_raise(WG_EMEM, "sample: out of memory");
        return;
    }
    memcpy(ids, prompt, (size_t)n * sizeof *ids);
    const wg_generator before = wg_generator_get();
    wg_seed((uint64_t)s->seed * 1000003u + (uint64_t)step);
    const wg_scope all = wg_scope_push();
    wg_use_grad(false);
    wg_module_train(model, false);
    wg_kv_cache *cache = wg_kv_cache_new(s->block);
    printf("--- sample at step %lld ---\n", (long long)step);
    for (int64_t i = 0; i < n; i++) print_token(tokens, ids[i]);
    write_tokens(model, tokens, s, ids, n, cache, stop);
    puts("\n---");
    wg_kv_cache_free(cache);
    wg_module_train(model, true);
    wg_scope_return(all, NULL);
    wg_generator_set(before);
    free(ids);
}
