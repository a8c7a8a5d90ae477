/* Low-rank adapters (Hu et al. 2021, arXiv:2106.09685): small matrices beside frozen Linears. */
#ifndef WENGERT_LORA_H
#define WENGERT_LORA_H
#include "base.h"
#include "module.h"
#ifdef __cplusplus
extern "C" {
#endif

/** A Linear with an adapter: y = base(x) + scale B(A(dropout(x))), scale = alpha / rank.
 * `lora_A.weight` (rank, in) starts as U(-1/sqrt(in), 1/sqrt(in)) (PEFT's Kaiming with a = sqrt 5),
 * `lora_B.weight` (out, rank) at 0, so that y is base(x) before training; both f32, f64 beside an
 * f64 weight; y keeps base(x)'s dtype. The base is the transparent child: its names stay. */
extern WG_API const wg_module_type wg_lora_type;

/** Options of wg_lora_add; a number that is 0 takes PEFT's default, in brackets. */
typedef struct {
    wg_module *m;
    int64_t rank;        /**< [8] */
    double alpha;        /**< [8] */
    double dropout;      /**< of the adapter's input while training, in [0, 1) [0] */
    const char *pattern; /**< globs over full names of Linears, separated by commas (wg_match)
                            [attention's projections of queries, keys and values, or the fused one,
                            under the names that wg_transformer_new gives them] */
    bool rslora;         /**< scale = alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732) */
    bool train_base;     /**< freeze nothing */
    char end;
} wg_lora_args;
/** Puts an adapter around every Linear of m whose name matches, and freezes everything that is no
 * adapter. The Linear may hold any weight that it can run: 16-bit, read-only, quantised, (in, out).
 * A tied weight may be adapted too, but then not merged. An optimizer that walks m finds A and B.
 * Nothing is changed on failure: WG_ENOTFOUND if a pattern matches no Linear; WG_EARG for numbers
 * out of range, a Linear that has an adapter already, or one in a transparent place. */
WG_API WG_MUST_CHECK wg_status wg_lora_call(wg_lora_args a);
/** How many adapters m has. */
WG_API int64_t wg_lora_count(wg_module *m);
/** Adds scale B A to the base weights and takes the adapters out: modules, names and types are those
 * from before wg_lora_add, and what was frozen stays so. A weight gets memory of its own (a mapped
 * file is not written) under the same handle, in its dtype; one in blocks becomes f32. WG_EARG if a
 * weight is tied: nothing is changed then. Out of memory, or a graph that holds a weight (WG_EGRAD),
 * half-way: the rest keep their adapters, so that m computes the same. */
WG_API WG_MUST_CHECK wg_status wg_lora_merge(wg_module *m);
/** Takes the adapters out and drops them: m computes what it did before wg_lora_add. */
WG_API void wg_lora_remove(wg_module *m);

/** Writes FOLDER/adapter_config.json and FOLDER/adapter_model.safetensors as Hugging Face's PEFT
 * does; makes the folder if need be; each file whole or not at all. Tensors are called
 * `base_model.model.<module's path>.lora_A.weight`. Of a wg_transformer paths and the order of rows
 * are those of Hugging Face's model: WG_NAMES_META_LLAMA is translated, and B's rows of q and k are
 * reordered where rope rotates adjacent pairs. WG_EARG: no adapters, or of different ranks or
 * scales (a file has one); WG_EIO. */
WG_API WG_MUST_CHECK wg_status wg_lora_save(wg_module *m, const char *folder);
/** Reads such a folder into m's adapters, or makes them (and freezes the rest) where m has none.
 * Everything is checked before anything is changed: WG_EFORMAT for a malformed file or one whose
 * fields ask for what is not supported (DoRA, biases, patterns of ranks, saved modules, initial
 * weights that change the base, ...); WG_ENOTFOUND for tensors that are missing or fit no Linear;
 * WG_ESHAPE; WG_EARG for adapters of another rank or scale than m's. */
WG_API WG_MUST_CHECK wg_status wg_lora_load(wg_module *m, const char *folder);

#ifdef __cplusplus
}
#endif
#define wg_lora_add(...) WG_HERE(wg_lora_call(WG_ARGS(wg_lora_args, __VA_ARGS__)))
#define wg_lora_merge(...) WG_HERE(wg_lora_merge(__VA_ARGS__))
#define wg_lora_save(...) WG_HERE(wg_lora_save(__VA_ARGS__))
#define wg_lora_load(...) WG_HERE(wg_lora_load(__VA_ARGS__))
#endif
