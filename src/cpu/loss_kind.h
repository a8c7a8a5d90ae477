/* The losses of one value a place. For C and CUDA. */
#ifndef WGI_CPU_LOSS_KIND_H
#define WGI_CPU_LOSS_KIND_H
typedef enum {
    WGI_MSE,
    WGI_L1,
    WGI_HUBER,
    WGI_BCE,
    WGI_KL,
    WGI_KL_LOG,
    WGI_LOSS_KINDS
} wgi_loss_kind;
#endif
