#include "cuda/library.h"

#include <dlfcn.h>

#include "tensor/internal.h"

static void *open_any(const char *name, const char *bare)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", WGI_CUDA_LIBRARIES, name);
    const char *const names[] = { name, path, bare };
    void *library = NULL;
    for (int i = 0; i < 3 && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static bool find_all(void *library, const wgi_symbol *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *f = dlsym(library, wanted[i].name);
        if (!f) return false;
        memcpy(wanted[i].slot, &f, sizeof f);
    }
    return true;
}

void *wgi_library_open(const char *what, const char *name, const char *bare,
                       const wgi_symbol *wanted, size_t n)
{
    void *library = open_any(name, bare);
    if (library && find_all(library, wanted, n)) return library;
    const char *why = dlerror();
    wg_raise(WG_EDEVICE, "%s: %s", what, why ? why : "not found");
    if (library) dlclose(library);
    return NULL;
}

bool wgi_library_load(wgi_library *l, void *(*open)(void), bool (*suits)(void))
{
    pthread_mutex_lock(&l->lock);
    if (!l->loaded) {
        void *library = open();
        l->loaded = library && suits();
        if (!l->loaded && library) dlclose(library);
    }
    const bool ok = l->loaded;
    pthread_mutex_unlock(&l->lock);
    return ok;
}
