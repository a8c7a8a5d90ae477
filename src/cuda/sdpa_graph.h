/* Attention as cuDNN's operation graphs: which calls there is one for, and its descriptors. cuDNN knows a fused kernel by the
 * operations of a graph: they are the ones, and in the order, that NVIDIA's cudnn-frontend makes of its "composite" nodes of
 * scaled dot-product attention. Tested without a device: a graph may be asked about any, by its properties. */
#ifndef WGI_CUDA_SDPA_GRAPH_H
#define WGI_CUDA_SDPA_GRAPH_H
#include "cuda/attention.h"
#include "cuda/cudnn.h"

/* All that a plan depends on. Compared as bytes: there is nothing between the members. */
typedef struct {
    int64_t batch, heads, kv_heads, tq, tk, d, dv;
    /* strides of batch, head and row, in elements; of what is not there 0 */
    int64_t q[3], k[3], v[3], y[3], dy[3], dq[3], dk[3], dv_out[3];
    int32_t type; /* WG_BF16, WG_F16 */
    int32_t causal, keeps_lse, backward;
} wgi_sdpa_key;

/* false: it is none of cuDNN's: operands of another type than q's, whose rows are no 16-byte chunks, or that are repeated; a
 * mask, dropout, a window, a scale that is not positive, causality over more keys than queries; more than 65,535 sequences or
 * heads; gradients that are added to, of 8 queries or fewer, or where cuDNN is known to err. */
bool wgi_sdpa_key_of(wgi_sdpa_key *k, const wgi_attention_pass *p);

/* Tensors of a graph that have memory. */
typedef enum {
    WGI_SDPA_Q = 1,
    WGI_SDPA_K,
    WGI_SDPA_V,
    WGI_SDPA_Y,
    WGI_SDPA_LSE,
    WGI_SDPA_DY,
    WGI_SDPA_DQ,
    WGI_SDPA_DK,
    WGI_SDPA_DV,
    WGI_SDPA_DELTA,  /* backward: (B, H, Tq) f32, scratch memory */
    WGI_SDPA_DQ_SUM, /* backward: (B, H, Tq, D) f32, scratch memory */
    /* one float each, read from the host */
    WGI_SDPA_SCALE,
    WGI_SDPA_HIDDEN, /* what stands for a score that is not seen */
    WGI_SDPA_ONE,
    WGI_SDPA_UIDS
} wgi_sdpa_uid;

/* A call's descriptors, those of the ways that were tried to run it among them. Begin with zeros; wgi_sdpa_forget gives back
 * what there is. */
enum { WGI_SDPA_DESCRIPTORS = 128, WGI_SDPA_OPERATIONS = 24 };
typedef struct {
    const wgi_cudnn *lib;
    cudnnStatus_t status; /* of the first step that went wrong; what comes after it is not tried */
    const char *step;
    cudnnBackendDescriptor_t graph;
    cudnnBackendDescriptor_t all[WGI_SDPA_DESCRIPTORS], operations[WGI_SDPA_OPERATIONS];
    int n, n_operations;
    int64_t inner; /* uid of the next tensor without memory */
} wgi_sdpa_graph;

/* A descriptor of the graph's; one that is finished. */
cudnnBackendDescriptor_t wgi_sdpa_descriptor(wgi_sdpa_graph *g, cudnnBackendDescriptorType_t type);
void wgi_sdpa_set(wgi_sdpa_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                  cudnnBackendAttributeType_t type, int64_t n, const void *values);
void wgi_sdpa_set_descriptor(wgi_sdpa_graph *g, cudnnBackendDescriptor_t d,
                             cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value);
void wgi_sdpa_finish(wgi_sdpa_graph *g, cudnnBackendDescriptor_t d, const char *step);

/* handle NULL: of no device. */
void wgi_sdpa_describe(wgi_sdpa_graph *g, const wgi_cudnn *lib, const wgi_sdpa_key *k,
                       cudnnHandle_t handle);
void wgi_sdpa_forget(wgi_sdpa_graph *g);
#endif
