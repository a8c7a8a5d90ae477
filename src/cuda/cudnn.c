#include "cuda/cudnn.h"

#include <dlfcn.h>
#include <pthread.h>

#include "cuda/library.h"
#include "tensor/internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static wgi_cudnn table;
static bool loaded;

static void *open_library(void)
{
    const wgi_symbol wanted[] = {
        { &table.version, "cudnnGetVersion" },
        { &table.text, "cudnnGetErrorString" },
        { &table.last, "cudnnGetLastErrorString" },
        { &table.create, "cudnnCreate" },
        { &table.destroy, "cudnnDestroy" },
        { &table.set_stream, "cudnnSetStream" },
        { &table.descriptor_create, "cudnnBackendCreateDescriptor" },
        { &table.descriptor_destroy, "cudnnBackendDestroyDescriptor" },
        { &table.set, "cudnnBackendSetAttribute" },
        { &table.get, "cudnnBackendGetAttribute" },
        { &table.finalize, "cudnnBackendFinalize" },
        { &table.execute, "cudnnBackendExecute" },
    };
    return wgi_library_open("attention by cuDNN (WG_CUDA_CUDNN=1)", "libcudnn.so.9", "libcudnn.so",
                            wanted, sizeof wanted / sizeof *wanted);
}

/* Before 9.6 the sums of dq would have to be zeroed first. */
static bool suits(void)
{
    const size_t version = table.version();
    if (version >= 90600 && version < 100000) return true; /* 90600 is 9.6.0 */
    wg_raise(WG_EDEVICE,
             "attention by cuDNN (WG_CUDA_CUDNN=1) needs 9.6 or a newer 9: the one "
             "found is version %zu",
             version);
    return false;
}

const wgi_cudnn *wgi_cudnn_load(void)
{
    pthread_mutex_lock(&lock);
    if (!loaded) {
        void *library = open_library();
        loaded = library && suits();
        if (!loaded && library) dlclose(library);
    }
    const bool ok = loaded;
    pthread_mutex_unlock(&lock);
    return ok ? &table : NULL;
}
