/* What the tests of transformers share: small ones, and tokens for them. */
#ifndef TRANSFORMER_CHECK_H
#define TRANSFORMER_CHECK_H
#include "nn_check.h"

static inline wg_transformer_config small_gpt2(void)
{
    return wg_gpt2_config(2, 4, 16, 19, 24);
}

static inline wg_transformer_config small_llama(void)
{
    wg_transformer_config c = wg_llama_config(2, 4, 2, 16, 24, 19, 24);
    return c;
}

static inline wg_tensor *some_tokens(int64_t B, int64_t T)
{
    return wg_randint(0, 19, WG_DIMS(B, T));
}
#endif
