/* How well a model of tokens predicts: perplexity, multiple choice. Everything here runs with gradients
 * off and in evaluation mode, and leaves every module's mode as it was. Models are modules from tokens
 * (B, T) i64 to logits (B, T, V); of a wg_transformer logits are made in chunks, only where they are
 * wanted. */
#ifndef WENGERT_EVALUATE_H
#define WENGERT_EVALUATE_H
#include "base.h"
#include "module.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int64_t tokens;    /**< scored: all but the first */
    double nll;        /**< mean negative log-likelihood, natural logarithm */
    double perplexity; /**< e^nll */
} wg_perplexity_result;
/** Options of wg_perplexity. */
typedef struct {
    wg_module *m;
    const int64_t *ids; /**< (n), at least 2 */
    int64_t n;
    wg_perplexity_result *result;
    int64_t window; /**< inputs at once; of a wg_transformer at most its block [the block, at most
                       2048], of others to be given */
    int64_t stride; /**< from one window's beginning to the next's, 1 to window [half of it] */
    int64_t batch;  /**< windows at once [as many as have 2048 inputs, at least 1] */
    bool (*progress)(void *self, const wg_perplexity_result *so_far, int64_t all);
    void *self; /**< progress's first argument; false stops, and the result is that so far */
    char end;
} wg_perplexity_args;
/** A window of inputs slides over the ids; every id but the first is scored once, in the first window
 * that reaches it: after the first window with at least window - stride + 1 ids before it. Smaller
 * strides give more context and cost more. Sums are made in f64.
 * WG_EARG: fewer than 2 ids, window or stride out of range; WG_EINDEX: an id outside the model's
 * vocabulary.
 * Source: Hugging Face, "Perplexity of fixed-length models"; there the window counts one id more. */
WG_API WG_MUST_CHECK wg_status wg_perplexity_call(wg_perplexity_args a);

/** A context with one of its endings, as wg_encode_answer gives them. */
typedef struct {
    const int64_t *ids;    /**< (n) */
    int64_t n, of_context; /**< the first of_context of them, at least 1, are the context's */
    int64_t bytes;         /**< of the ending's text */
} wg_choice;
typedef struct {
    double log_prob;  /**< sum of log p(id | ids before it) over the ending */
    double per_token; /**< divided by its ids: llm.c's and nanoGPT's HellaSwag */
    double per_byte;  /**< divided by its bytes: lm-evaluation-harness's acc_norm; NaN for none */
} wg_choice_score;
/** Scores n endings in one batch. A context too long for a wg_transformer's block loses its
 * beginning. WG_EARG: an ending without ids or without context, or longer than the block;
 * WG_EINDEX: an id outside the vocabulary. */
WG_API WG_MUST_CHECK wg_status wg_score_choices(wg_module *m, const wg_choice *choices, int64_t n,
                                                wg_choice_score *scores);

#ifdef __cplusplus
}
#endif
#define wg_perplexity(...) WG_HERE(wg_perplexity_call(WG_ARGS(wg_perplexity_args, __VA_ARGS__)))
#define wg_score_choices(...) WG_HERE(wg_score_choices(__VA_ARGS__))
#endif
