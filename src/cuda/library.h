/* Libraries of the toolkit's, loaded when the first op needs them: a program that does not pays nothing for them, and a
 * machine without them can run everything else. */
#ifndef WGI_CUDA_LIBRARY_H
#define WGI_CUDA_LIBRARY_H
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    void *slot; /* of a pointer to a function */
    const char *name;
} wgi_symbol;

/* Fills n slots from the library `name` ("libcublasLt.so.13"): by the loader's search, then where the toolkit's libraries
 * lay when this was built, then as `bare`. For dlclose; NULL: raised (WG_EDEVICE), "<what>: <what the loader says>". */
void *wgi_library_open(const char *what, const char *name, const char *bare,
                       const wgi_symbol *wanted, size_t n);

typedef struct {
    pthread_mutex_t lock;
    bool loaded;
} wgi_library;

/* Loads it unless it is loaded: open, then suits. false: either has raised why not, and the next call tries again. */
bool wgi_library_load(wgi_library *l, void *(*open)(void), bool (*suits)(void));
#endif
