/* Text from a transformer: sampling, generation over a key-value cache, batches, beams, speculation.
 *
 * Everything here runs with gradients off and in evaluation mode, and leaves the module's mode as it
 * was. Token ids are those of the model's tokenizer (text.h), 0 <= id < V. */
#ifndef WENGERT_GENERATE_H
#define WENGERT_GENERATE_H
#include "base.h"
#include "module.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- choosing the next token ----------------------------------------------------------------- */
/** How a token is drawn from logits (V), in this order:
 * 1. repetition penalty r (Keskar et al. 2019, arXiv:1909.05858): the logit of every token among the
 *    last `penalty_last` (0: all) is divided by r if positive, multiplied by r if negative;
 * 2. temperature: logits / temperature, then softmax; 0 takes the largest logit (the first of equal
 *    ones) and looks at nothing below;
 * 3. top_k: the k most probable (ties: the smaller id first); 0: all;
 * 4. top_p (Holtzman et al. 2019, arXiv:1904.09751): the fewest most probable whose sum reaches p;
 *    0 or 1: all;
 * 5. min_p (Nguyen et al. 2024, arXiv:2407.01082): those of at least min_p times the largest
 *    probability; 0: all;
 * what is left is normalised and drawn from by Philox numbers of `seed`, one a token. */
typedef struct {
    double temperature;
    int64_t top_k;
    double top_p, min_p, repetition_penalty;
    int64_t penalty_last;
    uint64_t seed;
} wg_sampling;

typedef struct wg_sampler wg_sampler;
/** For a vocabulary of V. Yours, to be freed; NULL and WG_EARG for an option out of its range
 * (negative, top_p or min_p above 1), WG_EMEM. */
WG_API wg_sampler *wg_sampler_new(wg_sampling how, int64_t vocab);
/** NULL is fine. */
WG_API void wg_sampler_free(wg_sampler *s);
/** The next token from logits (V), host memory, after the n tokens `before` (looked at by the
 * penalty alone). Allocates nothing. -1 and WG_ENUMERIC where a logit is NaN or +inf or all are
 * -inf; WG_EARG. */
WG_API int64_t wg_sampler_next(wg_sampler *s, const float *logits, const int64_t *before,
                               int64_t n);

/* ---- generation ------------------------------------------------------------------------------ */
/** A wg_transformer with the keys and values of the text it has read. A prompt that begins as that
 * text does is read from the first difference on (prefix reuse). One thread's business. */
typedef struct wg_generation wg_generation;
typedef struct {
    wg_module *model; /**< a wg_transformer; has to outlive this */
    wg_module
        *draft; /**< a smaller one of the same vocabulary for speculative decoding; NULL: none */
    int64_t drafted; /**< tokens that it proposes at a time; 0: 4 */
    int64_t
        context; /**< positions at most; 0: the model's block, which is also the limit of RoPE's */
    int64_t chunk; /**< tokens of a prompt that run at once; 0: 512 */
    char end;
} wg_generation_args;
/** Each model runs where its parameters lie, whatever the thread's device; tokens are chosen on the CPU.
 * Yours, to be freed with wg_generation_free. NULL and WG_EARG: no transformer, vocabularies that
 * differ, a context beyond a block. */
WG_API wg_generation *wg_generation_call(wg_generation_args a);
/** NULL is fine. */
WG_API void wg_generation_free(wg_generation *g);
/** Forgets the text that was read. */
WG_API void wg_generation_reset(wg_generation *g);
/** What was done since the start, in tokens. */
typedef struct {
    int64_t read, reused; /**< of prompts: run through the model; found in the cache */
    int64_t generated;
    int64_t drafted, accepted; /**< by the draft model */
} wg_generation_counts;
WG_API wg_generation_counts wg_generation_count(const wg_generation *g);

/** A prompt or a continuation. */
typedef struct {
    const int64_t *ids;
    int64_t n;
} wg_ids;
/** Called with every token as it is chosen, `row` in a batch; false ends the row after it. */
typedef bool (*wg_on_token)(void *self, int64_t row, int64_t id);
typedef struct {
    wg_generation *g;
    wg_ids prompt; /**< at least one token */
    int64_t **ids; /**< a new array of what was generated, to be freed with free; may be NULL */
    int64_t max_tokens; /**< 0: until a token of `stop` or the end of the context */
    wg_sampling sampling;
    wg_ids stop; /**< tokens that end the text; not part of it */
    wg_on_token on_token;
    void *self;
    char end;
} wg_generate_args;
/** Continues a prompt; returns how many tokens came, without the stop token. With a draft model its
 * proposals are checked by one pass of the model (Leviathan et al. 2023, arXiv:2211.17192): greedy
 * text is the same as without one, sampled text has the same distribution.
 * -1 and *ids NULL: WG_EARG for an empty prompt, a prompt longer than the context, a context that
 * is full before the text ended (on_token has seen what came), options of sampling; WG_EINDEX for
 * an id out of range; WG_ENUMERIC; WG_EMEM. */
WG_API int64_t wg_generate_call(wg_generate_args a);

typedef struct {
    wg_generation *g;
    const wg_ids *prompts; /**< (n), each of at least one token, of any lengths */
    int64_t n;
    int64_t **ids;   /**< (n) new arrays, each to be freed with free */
    int64_t *counts; /**< (n) */
    int64_t max_tokens;
    wg_sampling sampling; /**< row r draws from stream r of the seed; row 0 as wg_generate does */
    wg_ids stop;
    wg_on_token on_token;
    void *self;
    char end;
} wg_generate_batch_args;
/** Continues prompts of different lengths together: padded on the left, masked, with positions of
 * their own, in a cache of the call's own. Errors as wg_generate's; then all ids are NULL. A draft
 * model is not used. */
WG_API WG_MUST_CHECK wg_status wg_generate_batch_call(wg_generate_batch_args a);

typedef struct {
    wg_generation *g;
    wg_ids prompt;
    int64_t **ids;          /**< (beams) new arrays, best first, each to be freed with free */
    int64_t *counts;        /**< (beams) their lengths */
    double *scores;         /**< (beams); may be NULL */
    int64_t beams;          /**< at least 1 */
    int64_t max_tokens;     /**< at least 1 */
    double length_penalty;  /**< the exponent below; 0: 1 */
    bool no_length_penalty; /**< compares sums */
    wg_ids stop;
    char end;
} wg_beam_search_args;
/** The `beams` continuations of the largest sum(log p) / length^penalty that beam search finds, the
 * stop token counted in both. Hypotheses that have not ended at max_tokens count as they are. The
 * prompt is read once. Errors as wg_generate's; then all ids are NULL. */
WG_API WG_MUST_CHECK wg_status wg_beam_search_call(wg_beam_search_args a);

typedef struct wg_tokenizer wg_tokenizer; /* text.h */

/* ---- text ------------------------------------------------------------------------------------ */
/** Called with text as it becomes sure: whole UTF-8 characters, nothing that may be the beginning of
 * a stop string. false ends the text. */
typedef bool (*wg_on_text)(void *self, const char *text, int64_t bytes);
typedef struct {
    wg_generation *g;
    const wg_tokenizer *tokenizer;
    const char *prompt; /**< "" starts from the beginning-of-text token */
    bool special;       /**< special tokens spelled in the prompt become their ids (chats) */
    char **text;        /**< what was generated, to be freed with free; may be NULL */
    int64_t max_tokens;
    wg_sampling sampling;
    const char *const
        *stop;       /**< strings, NULL-terminated; they end the text and are not part of it */
    bool ignore_end; /**< go on after the tokenizer's end tokens */
    wg_on_text on_text;
    void *self;
    char end;
} wg_generate_text_args;
/** Continues a text: tokens that came, stop included; -1 and *text NULL on errors: wg_generate's,
 * and WG_EARG for an empty prompt where the tokenizer has no beginning-of-text token. */
WG_API int64_t wg_generate_text_call(wg_generate_text_args a);

/* ---- chats ----------------------------------------------------------------------------------- */
typedef struct {
    const char *role, *content; /**< "system", "user", "assistant" */
} wg_message;
/** The prompt that a model's chat template (a Jinja program, as models' files carry it) makes of
 * messages, ending where the assistant answers. The template is not run: it is recognised among
 * those of ChatML (Qwen2 and many others), Llama 2, Llama 3, Mistral, Zephyr, Gemma, Phi-3.
 * To be freed with free; encode it with .special. NULL and WG_ENOTFOUND: a template that is none of
 * them, WG_EARG: a role that the template lacks, or no messages; WG_EMEM. */
WG_API char *wg_chat_prompt(const char *chat_template, const wg_message *messages, int64_t n);

#ifdef __cplusplus
}
#endif
#define wg_sampler_new(...) WG_HERE(wg_sampler_new(__VA_ARGS__))
#define wg_sampler_next(...) WG_HERE(wg_sampler_next(__VA_ARGS__))
#define wg_generation_new(...) WG_HERE(wg_generation_call(WG_ARGS(wg_generation_args, __VA_ARGS__)))
#define wg_generate(...) WG_HERE(wg_generate_call(WG_ARGS(wg_generate_args, __VA_ARGS__)))
#define wg_generate_batch(...)                                                                     \
    WG_HERE(wg_generate_batch_call(WG_ARGS(wg_generate_batch_args, __VA_ARGS__)))
#define wg_beam_search(...) WG_HERE(wg_beam_search_call(WG_ARGS(wg_beam_search_args, __VA_ARGS__)))
#define wg_generate_text(...)                                                                      \
    WG_HERE(wg_generate_text_call(WG_ARGS(wg_generate_text_args, __VA_ARGS__)))
#define wg_chat_prompt(...) WG_HERE(wg_chat_prompt(__VA_ARGS__))
#endif
