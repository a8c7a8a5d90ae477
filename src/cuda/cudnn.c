#include "cuda/cudnn.h"

#include "cuda/library.h"
#include "tensor/internal.h"

static wgi_cudnn table;

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

static bool suits(void)
{
    const size_t version = table.version();
    if (version >= 91501 && version < 100000) return true; /* 91501 is 9.15.1 */
    wg_raise(WG_EDEVICE,
             "attention by cuDNN (WG_CUDA_CUDNN=1) needs 9.15.1 or a newer 9: the one "
             "found is version %zu",
             version);
    return false;
}

const wgi_cudnn *wgi_cudnn_load(void)
{
    static wgi_library library = { .lock = PTHREAD_MUTEX_INITIALIZER };
    return wgi_library_load(&library, open_library, suits) ? &table : NULL;
}
