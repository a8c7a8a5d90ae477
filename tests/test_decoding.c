/* Decoding through the key-value cache. */
#include <pthread.h>

#include "transformer_check.h"

/* Token by token, and in pieces, through the cache: the logits of the whole. */
static void expect_decoding(wg_transformer_config c)
{
    wg_scope s = begin();
    wg_use_grad(false);
    wg_module *m = wg_transformer_new(&c);
    expect_no_error();
    wg_module_train(m, false);
    wg_tensor *tokens = some_tokens(3, 20), *whole = wg_forward(m, tokens);
    const int64_t pieces[][4] = { { 1, 1, 1, 17 }, { 7, 1, 5, 7 }, { 20, 0, 0, 0 } };
    for (size_t i = 0; i < 3; i++) {
        wg_kv_cache *cache = wg_kv_cache_new(20);
        const wg_step step = { .cache = cache };
        for (int64_t at = 0, k = 0; k < 4 && pieces[i][k]; at += pieces[i][k++]) {
            wg_tensor *y = wg_transformer_step(m, wg_narrow(tokens, 1, at, pieces[i][k]), &step);
            ck_assert(distance(y, wg_narrow(whole, 1, at, pieces[i][k])) < 2e-5);
        }
        ck_assert_int_eq(wg_kv_length(cache, NULL), 20);
        wg_transformer_step(m, some_tokens(3, 1), &step);
        fails(WG_EARG, "the cache is full: 20 of 20 positions, 1 more");
        wg_kv_truncate(cache, 9);
        wg_tensor *y = wg_transformer_step(m, wg_narrow(tokens, 1, 9, 4), &step);
        ck_assert(distance(y, wg_narrow(whole, 1, 9, 4)) < 2e-5);
        wg_kv_cache_free(cache);
    }
    expect_no_error();
    wg_module_free(m);
    pop(s);
}

START_TEST(decoding_with_a_cache_equals_the_whole)
{
    expect_decoding(small_gpt2());
    expect_decoding(small_llama());
    wg_transformer_config c = small_llama();
    c.window = 5;
    c.rope_adjacent = true;
    c.names = WG_NAMES_META_LLAMA;
    expect_decoding(c);
    c = small_gpt2();
    c.kv_heads = 1; /* fused, multi-query */
    c.position = WG_POS_NONE;
    c.mlp = WG_MLP_GATED;
    c.no_bias = true;
    expect_decoding(c);
    c = small_llama();
    c.head_size = 6; /* 4 heads of 6 in a width of 16 */
    c.activation = WG_ACT_GELU;
    expect_decoding(c);
}
END_TEST

START_TEST(the_cache_copies_rows_and_grows)
{
    wg_scope s = begin();
    wg_module *m = wg_linear_new(1, 1), *n = wg_linear_new(1, 1);
    wg_kv_cache *cache = wg_kv_cache_new(200);
    wg_tensor *k = wg_randn(WG_DIMS(2, 3, 200, 4)), *v = wg_randn(WG_DIMS(2, 3, 200, 5));
    wg_tensor *a = wg_narrow(k, 2, 0, 1), *b = wg_narrow(v, 2, 0, 1);
    ck_assert_int_ne(wg_kv_append(cache, m, &a, &b), WG_OK);
    fails(WG_EGRAD, "gradients off");
    wg_use_grad(false);
    for (int64_t at = 0; at < 200; at++) {
        a = wg_narrow(k, 2, at, 1);
        b = wg_narrow(v, 2, at, 1);
        ck_assert_int_eq(wg_kv_append(cache, m, &a, &b), WG_OK);
        ck_assert_int_eq(wg_size(a, 2), at + 1);
    }
    ck_assert(same_bits(a, k) && same_bits(b, v));
    ck_assert_int_eq(wg_kv_length(cache, m), 200);
    ck_assert_int_eq(wg_kv_length(cache, n), 0);
    a = wg_narrow(k, 2, 0, 3);
    b = wg_narrow(v, 2, 0, 3);
    ck_assert_int_eq(wg_kv_append(cache, n, &a, &b), WG_OK);
    ck_assert_int_eq(wg_kv_length(cache, NULL), 3);
    a = wg_narrow(wg_narrow(k, 0, 0, 1), 2, 0, 1);
    ck_assert_int_ne(wg_kv_append(cache, n, &a, &b), WG_OK);
    fails(WG_ESHAPE, "(B, H, T, D)");
    a = wg_narrow(k, 2, 0, 1);
    b = wg_narrow(v, 2, 0, 1);
    wg_raise(WG_EARG, "the step has failed");
    ck_assert_int_ne(wg_kv_append(cache, n, &a, &b), WG_OK);
    fails(WG_EARG, "the step has failed");
    ck_assert_int_eq(wg_kv_length(cache, n), 3);
    ck_assert_int_eq(wg_kv_length(NULL, NULL), 0);
    wg_kv_truncate(cache, -1);
    fails(WG_EARG, "negative");
    wg_kv_cache_free(cache);
    wg_kv_cache_free(NULL);
    ck_assert_ptr_null(wg_kv_cache_new(0));
    fails(WG_EARG, "positive");
    wg_module_free(m);
    wg_module_free(n);
    pop(s);
}
END_TEST

typedef struct {
    wg_module *model;
    int64_t tokens[12];
    float logits[19];
    wg_status status;
} worker;

/* Decodes the worker's tokens one at a time; the last one's logits. */
static void *decode(void *p)
{
    worker *w = p;
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_kv_cache *cache = wg_kv_cache_new(12);
    const wg_step step = { .cache = cache };
    for (int i = 0; i < 12; i++) {
        wg_scope inner = wg_scope_push();
        wg_tensor *x = wg_from(&w->tokens[i], sizeof(int64_t), WG_I64, WG_DIMS(1, 1));
        (void)!wg_read(wg_transformer_step(w->model, x, &step), w->logits, sizeof w->logits,
                       WG_F32);
        wg_scope_return(inner, NULL);
    }
    wg_kv_cache_free(cache);
    w->status = wg_scope_pop(s);
    return NULL;
}

START_TEST(threads_share_a_model)
{
    wg_scope s = begin();
    wg_transformer_config c = small_llama();
    wg_module *m = wg_transformer_new(&c);
    wg_module_train(m, false);
    worker alone[2] = { { .model = m }, { .model = m } };
    for (int i = 0; i < 24; i++) alone[i % 2].tokens[i / 2] = (i * i + 3) % 19;
    worker both[2] = { alone[0], alone[1] };
    for (int i = 0; i < 2; i++) decode(&alone[i]);
    pthread_t t[2];
    for (int i = 0; i < 2; i++) ck_assert_int_eq(pthread_create(&t[i], NULL, decode, &both[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(both[i].status, WG_OK);
        ck_assert_mem_eq(both[i].logits, alone[i].logits, sizeof both[i].logits);
    }
    ck_assert(memcmp(alone[0].logits, alone[1].logits, sizeof alone[0].logits) != 0);
    wg_module_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        decoding_with_a_cache_equals_the_whole,
        the_cache_copies_rows_and_grows,
        threads_share_a_model,
        NULL,
    };
    return suite_run("decoding", tests);
}
