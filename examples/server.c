/* A server that survives bad input: two threads on the same weights, each with its key-value cache and random numbers. */
#include <pthread.h>
#include <wengert/wengert.h>

enum { VOCAB = 65, CONTEXT = 32 };

typedef struct {
    wg_module *model;
    uint64_t seed;
    int answers[4]; /* a code each, as HTTP has it */
    int64_t cached;
} worker;

/* Feeds n ids after what the cache holds; the last position's logits come back. */
static int answer(wg_module *model, wg_kv_cache *cache, const int64_t *ids, int64_t n,
                  float logits[VOCAB])
{
    int64_t before = wg_kv_length(cache, NULL);
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_from(ids, (size_t)n * sizeof *ids, WG_I64, WG_DIMS(1, n));
    wg_tensor *y =
        wg_select(wg_transformer_step(model, x, &(wg_step) { .cache = cache }), 1, -1); /* (1, V) */
    (void)!wg_read(y, logits, VOCAB * sizeof *logits, WG_F32);
    if (wg_scope_pop(s) == WG_OK) return 200;
    int code = wg_error_code() == WG_EMEM ? 503 : 400;
    wg_error_print(stderr);        /* says what was wrong, and clears it */
    wg_kv_truncate(cache, before); /* layers that had got further come back */
    return code;
}

static void *serve(void *p)
{
    worker *w = p;
    float logits[VOCAB];
    const int64_t good[] = { 1, 2, 3 }, bad[] = { 4, 999999 };
    int64_t many[CONTEXT] = { 0 };
    wg_seed(w->seed);
    wg_use_grad(false); /* this thread's root scope; released when the thread ends */
    wg_kv_cache *cache = wg_kv_cache_new(CONTEXT);
    w->answers[0] = answer(w->model, cache, good, 3, logits);
    w->answers[1] = answer(w->model, cache, bad, 2, logits);        /* no such token */
    w->answers[2] = answer(w->model, cache, many, CONTEXT, logits); /* beyond the context */
    w->answers[3] = answer(w->model, cache, good, 3, logits);       /* and it goes on */
    w->cached = wg_kv_length(cache, NULL);
    wg_kv_cache_free(cache);
    return NULL;
}

int main(void)
{
    wg_transformer_config c = wg_gpt2_config(2, 2, 32, VOCAB, CONTEXT);
    wg_module *model = wg_transformer_new(&c);
    if (!model) return wg_error_print(stderr);
    wg_module_train(model, false); /* before the threads start */
    pthread_t t[2];
    worker w[2] = { { .model = model, .seed = 1 }, { .model = model, .seed = 2 } };
    bool right = true;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&t[i], NULL, serve, &w[i])) return 1;
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        printf("worker %d: %d %d %d %d, %lld positions cached\n", i, w[i].answers[0],
               w[i].answers[1], w[i].answers[2], w[i].answers[3], (long long)w[i].cached);
        right = right && w[i].answers[0] == 200 && w[i].answers[1] == 400 &&
                w[i].answers[2] == 400 && w[i].answers[3] == 200 && w[i].cached == 6;
    }
    wg_module_free(model);
    return right ? 0 : 1;
}
