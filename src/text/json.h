/* Hugging Face's JSON files: what several of their readers need. */
#ifndef WGI_TEXT_JSON_H
#define WGI_TEXT_JSON_H
#include <jansson.h>

#include "spelling.h"

/* The whole file as a JSON object; NULL and WG_EFORMAT. Duplicate keys are refused. */
json_t *wgi_json_object(const char *path, const wgi_mapping *file);
/* Sets normalizer, prefix, words, byte_level and marks_spaces, adds_bos and adds_eos with bos and
 * eos, strips, from tokenizer.json's parts. The tokens have to be there for the post-processor. */
wg_status wgi_json_before(wg_tokenizer *t, const json_t *root, const char *path);
wg_status wgi_json_after(wg_tokenizer *t, const json_t *root, const char *path);
/* Puts {"spelling": id, ...} and indexes the spellings, which stay the JSON's. */
wg_status wgi_json_vocab(wg_tokenizer *t, const json_t *vocab, wgi_index *index, const char *path);
/* One entry of added_tokens, or of tokenizer_config.json's added_tokens_decoder. */
wg_status wgi_json_added(wg_tokenizer *t, const json_t *entry, int64_t id, int64_t limit,
                         const wgi_index *index, const char *path);
/* Reads FOLDER/tokenizer_config.json beside path, if there is one, for bos, eos and padding and
 * whether they are added; what it leaves open is guessed from well-known names. With `decoder`
 * also its added_tokens_decoder. *class: its tokenizer_class, to be freed, or NULL. */
wg_status wgi_json_config(wg_tokenizer *t, const char *path, bool decoder, const wgi_index *index,
                          char **class_name);
/* A file name in path's folder, to be freed; NULL and WG_EMEM. */
char *wgi_beside(const char *path, const char *name);
#endif
