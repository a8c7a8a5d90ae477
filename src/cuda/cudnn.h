/* cuDNN's graph interface, loaded when the first op asks for it. */
#ifndef WGI_CUDA_CUDNN_H
#define WGI_CUDA_CUDNN_H
#include <cudnn_graph.h>

#include "wengert/base.h"

typedef struct {
    __typeof__(&cudnnGetVersion) version;
    __typeof__(&cudnnGetErrorString) text;
    __typeof__(&cudnnGetLastErrorString) last;
    __typeof__(&cudnnCreate) create;
    __typeof__(&cudnnDestroy) destroy;
    __typeof__(&cudnnSetStream) set_stream;
    __typeof__(&cudnnBackendCreateDescriptor) descriptor_create;
    __typeof__(&cudnnBackendDestroyDescriptor) descriptor_destroy;
    __typeof__(&cudnnBackendSetAttribute) set;
    __typeof__(&cudnnBackendGetAttribute) get;
    __typeof__(&cudnnBackendFinalize) finalize;
    __typeof__(&cudnnBackendExecute) execute;
} wgi_cudnn;

/* Version 9.15.1 or a newer 9: before it NVIDIA's own frontend goes round several errors of attention's. NULL: raised (WG_EDEVICE). */
const wgi_cudnn *wgi_cudnn_load(void);
/* cuDNN has nothing for what was asked, which need not be asked again. */
static inline bool wgi_cudnn_declines(cudnnStatus_t s)
{
    return s / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000;
}
#endif
