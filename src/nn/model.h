/* Models and their files: what the readers and writers of formats share. */
#ifndef WGI_NN_MODEL_H
#define WGI_NN_MODEL_H
#include <jansson.h>

#include "wengert/gguf.h"
#include "wengert/model.h"

/* ---- the tensors of a transformer ------------------------------------------------------------ */
typedef enum {
    WGI_EMBED,
    WGI_POSITION,
    WGI_NORM,
    WGI_HEAD,
    WGI_NORM_1, /* from here on: of every layer */
    WGI_QKV,
    WGI_Q,
    WGI_K,
    WGI_V,
    WGI_OUT,
    WGI_NORM_2,
    WGI_UP,
    WGI_GATE,
    WGI_DOWN,
    WGI_PARTS
} wgi_part;

/* One tensor: where it is in the module, its name in a file, its shape in the module. */
typedef struct {
    wgi_part part;
    bool bias, in_out, rotated; /* in_out: the file's is transposed; rotated: rows of q or k */
    int64_t layer;              /* -1: not of a layer */
    wg_dims shape;
    char path[160], name[160];
} wgi_slot;

/* How a format calls its parts, one table each: '#' stands for the layer; ".weight" or ".bias"
 * follows. NULL: it has no such part. */
typedef struct {
    const char *name;
    bool in_out; /* its matrices are (in, out) */
} wgi_part_name;
typedef struct {
    wgi_part_name part[WGI_PARTS];
} wgi_part_names;
extern const wgi_part_names wgi_hf_gpt2, wgi_hf_llama, wgi_gguf_names;

/* Walks over the tensors that a transformer of configuration c has, c's tables naming them in the
 * module and `names` (NULL: no names) in the file: model_slots.c. Start with a zeroed slot and
 * `first` true. */
bool wgi_slot_next(wgi_slot *s, bool first, const wg_transformer_config *c,
                   const wgi_part_names *names);
/* Defaults filled in, sizes positive, divisions whole. Raises WG_EFORMAT with path in front. */
bool wgi_model_config(const char *path, wg_transformer_config *c);

/* ---- a file that is being loaded ------------------------------------------------------------- */
typedef struct wgi_source wgi_source;
struct wgi_source {
    const char *path;
    wg_transformer_config config;
    const wgi_part_names *names; /* NULL: the format has no names */
    /* The file's tensor for this slot, in the innermost scope; NULL: it has none. */
    wg_tensor *(*get)(wgi_source *s, const wgi_slot *slot);
    /* Name i of the file's tensors, NULL behind the last; get is asked for each that is not
     * ignored. NULL: every tensor is used by the layout. */
    const char *(*name)(wgi_source *s, int64_t i); /* valid until the next call */
    bool (*ignored)(wgi_source *s, const char *name);
    wg_tensor *rope_factors; /* NULL: the configuration's */
};

/* The transformer with the source's tensors; NULL and an error: model_load.c. */
wg_module *wgi_model_load(wgi_source *s, const wg_model_args *a);

struct wg_model {
    wg_module *module;
    wg_tokenizer *tokenizer;
    char *chat_template;     /* owned */
    wg_tensor *rope_factors; /* GGUF's own, one reference */
    wg_gguf *gguf;           /* the file, for its other metadata */
    wg_file_kind kind;
};

/* Each fills m, raises on failure: model_hf.c, model_gguf.c, model_bin.c. */
void wgi_model_open_hf(wg_model *m, const wg_model_args *a);
void wgi_model_open_gguf(wg_model *m, const wg_model_args *a);
void wgi_model_open_llama2c(wg_model *m, const wg_model_args *a);
void wgi_model_open_llmc(wg_model *m, const wg_model_args *a);
/* Opens the tokenizer that belongs to m's file, if there is one: model_tokenizer.c. */
void wgi_model_open_tokenizer(wg_model *m, const char *path);
/* Seven numbers that fit the file's size. */
bool wgi_is_llama2c(const void *data, int64_t bytes);
bool wgi_is_llmc(const void *data, int64_t bytes);

/* A JSON file whose root is an object, to be released; NULL and an error: model_json.c. */
json_t *wgi_json_read(const char *path);
/* A field of an object, `otherwise` where it is absent or null; path is for the message of a value
 * of another type (WG_EFORMAT). */
int64_t wgi_json_int(const json_t *o, const char *key, int64_t otherwise, const char *path);
double wgi_json_double(const json_t *o, const char *key, double otherwise, const char *path);
bool wgi_json_bool(const json_t *o, const char *key, bool otherwise, const char *path);
const char *wgi_json_string(const json_t *o, const char *key, const char *otherwise,
                            const char *path);
/* config.json -> configuration; false and an error: model_hf_config.c. */
bool wgi_hf_config(const char *path, const json_t *root, wg_transformer_config *c);

/* ---- a model that is being saved ------------------------------------------------------------- */
typedef struct {
    const wg_model *model;
    const char *path;
    wg_dtype dtype;               /* 0: as they are */
    const char *type;             /* "gpt2", "llama", "mistral", "qwen2" */
    wg_transformer_config config; /* as the file says it */
    wg_params params;             /* the module's */
} wgi_save;
/* The module's tensor for this slot in the file's order of rows and axes, in the innermost scope:
 * model_save.c. An error tensor and an error where it has none. */
wg_tensor *wgi_save_tensor(const wgi_save *s, const wgi_slot *slot);
/* Each returns its status: model_save_hf.c, model_save_gguf.c. */
wg_status wgi_save_hf(wgi_save *s);
wg_status wgi_save_gguf(wgi_save *s);

/* "FOLDER/NAME", allocated; NULL and WG_EMEM. */
char *wgi_model_path(const char *folder, const char *name);
#endif
