/* Errors: the thread's first error stays pending until it is cleared. The library never aborts, exits or prints. */
#ifndef WENGERT_ERROR_H
#define WENGERT_ERROR_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** The pending error, whole. The strings live until it is cleared. */
typedef struct {
    wg_status code;
    const char *
        message; /**< `matmul: inner sizes differ: x (4, 64, 768) f32 cpu, w ...; in h.3.attn; at gpt2.c:88` */
    const char *op;     /**< the op that raised, or NULL */
    const char *module; /**< the module's path, or NULL */
    const char *file;   /**< the caller's place, or NULL */
    int line;
} wg_error;

/** The pending error of this thread; NULL: none. */
WG_API const wg_error *wg_error_get(void);
/** Its code; WG_OK: none. */
WG_API wg_status wg_error_code(void);
WG_API void wg_error_clear(void);
/** Prints the pending error as one line and clears it. Returns 1, or 0 if there was none: `return wg_error_print(stderr);` */
WG_API int wg_error_print(FILE *f);

/** Raises an error: every error of the library passes here (a place for a breakpoint; WG_ABORT=1 aborts here).
 * The first one stays; later ones are dropped. While an op runs, its name is put in front (unless the text begins with
 * it) and its operands' shapes behind. Returns code. */
WG_API wg_status wg_raise(wg_status code, const char *fmt, ...) WG_PRINTF(2, 3);
/** wg_raise, giving the error tensor. */
WG_API wg_tensor *wg_fail(wg_status code, const char *fmt, ...) WG_PRINTF(2, 3);
/** The error tensor: immortal, 0-d, all sizes 1, no data, wg_item gives NaN. */
WG_API bool wg_is_error(const wg_tensor *t);

/** Receives the library's messages for people (one line, no newline). Default: none at level 0, standard error at
 * WG_VERBOSE=1 and above. */
typedef void (*wg_log_fn)(void *self, int level, const char *message);
WG_API void wg_log_to(wg_log_fn fn, void *self);

#ifdef __cplusplus
}
#endif
#endif
