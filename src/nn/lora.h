/* What the files of low-rank adapters share. */
#ifndef WGI_NN_LORA_H
#define WGI_NN_LORA_H
#include "wengert/lora.h"

typedef struct {
    wg_module base;
    wg_module *inner; /* the Linear; before it is put in, an empty list */
    wg_tensor *a, *b; /* (rank, in), (out, rank) */
    int64_t rank;
    double alpha, dropout, scale;
    bool rslora;
} wgi_lora;

/* How adapters are made. */
typedef struct {
    int64_t rank;
    double alpha, dropout;
    bool rslora;
    bool zero; /* A too: it will be overwritten, and no random numbers are drawn */
} wgi_lora_config;
/* Raises WG_EARG, beginning with function, for numbers out of range. */
bool wgi_lora_config_fits(const wgi_lora_config *c, const char *function);

/* A place where an adapter is or can be. */
typedef struct {
    const char *path; /* in the model */
    wg_module *linear;
    wgi_lora *adapter; /* around linear; NULL: none */
    int64_t in, out;   /* linear's */
} wgi_lora_site;
typedef struct {
    int64_t n;
    wgi_lora_site *s;
} wgi_lora_sites;
/* Every Linear that has a name of its own, in the innermost scope. n = 0 on failure (raised). */
wgi_lora_sites wgi_lora_sites_of(wg_module *m);

/* Adapters for n sites, not yet put in: (n) in scope memory, each the caller's; NULL on failure. */
wg_module **wgi_lora_make(const wgi_lora_site *const *sites, int64_t n, const wgi_lora_config *c);
void wgi_lora_discard(wg_module **made, int64_t n);
/* Puts them in; with `freeze`, everything else in m requires no gradient from now on. Does not
 * fail. */
void wgi_lora_put_in(wg_module *m, const wgi_lora_site *const *sites, wg_module **made, int64_t n,
                     bool freeze);

/* ---- files: lora_names.c, lora_config.c ------------------------------------------------------ */
/* The path of m's module in Hugging Face's model, in scope memory; NULL on failure. */
const char *wgi_lora_published(wg_module *m, const char *path);
/* B (out, rank) of the module at path, its rows in the order of Hugging Face's model; back: the
 * other way. */
wg_tensor *wgi_lora_rows(wg_module *m, const char *path, wg_tensor *b, bool back);

/* adapter_config.json */
typedef struct {
    wgi_lora_config adapter;
    bool fan_in_fan_out;
    int64_t n_targets; /* 0: no list of names, anything goes */
    const char **targets;
    bool part; /* of the targets some were left out, by layer or name */
} wgi_lora_file;
wg_status wgi_lora_config_write(const char *path, const wgi_lora_file *f);
/* Lists in scope memory. */
wg_status wgi_lora_config_read(const char *path, wgi_lora_file *f);
/* PEFT's rule: the whole path, or its end after a dot. */
bool wgi_lora_is_target(const wgi_lora_file *f, const char *published);

#endif
