/* Models from the files that people have, and back: one door for every format.
 *
 * GPT-2, Llama 1 to 3.2, Mistral and Qwen2 become a wg_transformer (include/wengert/nn.h) whose
 * configuration is the file's. Parameter names are nanoGPT's for GPT-2 and Hugging Face's for the
 * others, whatever the file calls them. */
#ifndef WENGERT_MODEL_H
#define WENGERT_MODEL_H
#include "base.h"
#include "module.h"
#include "nn.h"
#include "text.h"
#ifdef __cplusplus
extern "C" {
#endif

/** A transformer with what its file says: its tokenizer, its chat template. */
typedef struct wg_model wg_model;

typedef enum {
    WG_FILE_NONE,    /**< a wrapped model, which has no file */
    WG_FILE_HF,      /**< a Hugging Face folder: config.json, model.safetensors or its shards */
    WG_FILE_GGUF,    /**< architectures llama, qwen2, gpt2 */
    WG_FILE_LLAMA2C, /**< llama2.c's first export format, f32 */
    WG_FILE_LLMC     /**< llm.c's GPT-2, version 3 (f32) and 5 (bf16) */
} wg_file_kind;

/** Arguments of wg_model_open. */
typedef struct {
    const char *path;
    bool trainable; /**< own copies that require gradients, f32 unless dtype says otherwise */
    wg_dtype dtype; /**< floating: of the matrices; 0: as in the file (trainable: f32) */
    bool no_tokenizer;
    char end;
} wg_model_args;
/** wg_model_open(path, .trainable = true): the model in a file or folder, whose kind is told by its
 * content. Weights are mapped and frozen where their layout allows it (all but GPT-2's matrices in
 * Hugging Face's order, which are transposed, and 16-bit vectors), and go one after the other to the
 * thread's device where that is not the CPU; norms and biases become f32, and
 * the stream runs in f32 (all f64 with .dtype = WG_F64). The module is in eval mode, without
 * dropout. The tokenizer is the folder's or the file's; of a llama2.c file tokenizer.bin beside it,
 * or the only tok*.bin; an llm.c file has none.
 *
 * Everything is checked before it is made: every tensor of the model must be in the file with the
 * shape that the configuration says, and every tensor of the file must be used (save buffers such
 * as attn.bias and rotary_emb.inv_freq); a field of config.json that changes the result and cannot
 * be honoured is an error that names it.
 *
 * Yours, to be freed. NULL and WG_ENOTFOUND (no such file, a tensor is missing), WG_EFORMAT,
 * WG_ESHAPE (a tensor contradicts the configuration), WG_EDTYPE, WG_EARG, WG_EIO, WG_EMEM.
 * Sources: transformers' configuration and modeling files; llama.cpp's docs/gguf.md and
 * src/llama-model.cpp; llama2.c's export.py (version 0); llm.c's train_gpt2.py (write_model). */
WG_API wg_model *wg_model_call(wg_model_args a);
/** A model of a transformer made here; takes transformer and tokenizer (may be NULL) over, and
 * frees them at once if it fails: NULL and WG_EARG (no transformer, or one that has a parent),
 * WG_EMEM. */
WG_API wg_model *wg_model_wrap(wg_module *transformer, wg_tokenizer *tokenizer);
/** NULL is fine. */
WG_API void wg_model_free(wg_model *m);
/** The transformer and the tokenizer, the model's own; NULL for a NULL model, and where there is no
 * tokenizer. */
WG_API wg_module *wg_model_module(const wg_model *m);
WG_API wg_tokenizer *wg_model_tokenizer(const wg_model *m);
/** The Jinja template of chats; lives as long as m. NULL: none. */
WG_API const char *wg_model_chat_template(const wg_model *m);
WG_API wg_file_kind wg_model_kind(const wg_model *m);

/** Arguments of wg_model_save. */
typedef struct {
    wg_model *model;
    const char *path;
    wg_file_kind kind; /**< WG_FILE_HF (path is a folder) or WG_FILE_GGUF; 0: GGUF if path ends in
                          ".gguf" */
    wg_dtype dtype; /**< of the matrices: f32, f16, bf16; GGUF: also q8_0, q4_0; 0: as they are */
    char end;
} wg_model_save_args;
/** wg_model_save(m, path, .kind = WG_FILE_GGUF, .dtype = WG_Q8_0): the model as transformers or
 * llama.cpp load it. Hugging Face: config.json, model.safetensors, tokenizer.json and the chat
 * template, every tensor in one floating dtype; an existing folder keeps its other files. GGUF:
 * metadata, tokenizer and tensors; norms, biases, positions and rows whose length the block does
 * not divide are f32, as llama.cpp's are; what a GGUF file said beyond that goes along. A GPT-2
 * without biases gets zeros, a window alone makes a Llama a Mistral (llama.cpp reads no window of
 * architecture llama). Written whole or not at all.
 *
 * Errors: WG_EARG for a transformer that the format cannot say (by name), WG_EDTYPE, WG_EIO,
 * WG_EMEM; a pending error is returned and nothing is written. */
WG_API WG_MUST_CHECK wg_status wg_model_save_call(wg_model_save_args a);

#ifdef __cplusplus
}
#endif
#define wg_model_open(...) WG_HERE(wg_model_call(WG_ARGS(wg_model_args, __VA_ARGS__)))
#define wg_model_wrap(...) WG_HERE(wg_model_wrap(__VA_ARGS__))
#define wg_model_save(...) WG_HERE(wg_model_save_call(WG_ARGS(wg_model_save_args, __VA_ARGS__)))
#endif
