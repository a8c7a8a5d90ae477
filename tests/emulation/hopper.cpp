/* Attention by warpgroups: here by the kernels of warps, which have the same arguments. tests/test_attention_group.cpp runs
 * the warpgroups' own. */
#include "cuda/attention.h"

extern "C" void wgi_launch_attention_hopper_bf16(const wgi_attention_pass *p, int head,
                                                 void *stream)
{
    wgi_launch_attention_bf16(p, head, stream);
}

extern "C" void wgi_launch_attention_hopper_f16(const wgi_attention_pass *p, int head, void *stream)
{
    wgi_launch_attention_f16(p, head, stream);
}

extern "C" void wgi_launch_attention_hopper_backward_bf16(const wgi_attention_pass *p, int head,
                                                          void *stream)
{
    wgi_launch_attention_backward_bf16(p, head, stream);
}

extern "C" void wgi_launch_attention_hopper_backward_f16(const wgi_attention_pass *p, int head,
                                                         void *stream)
{
    wgi_launch_attention_backward_f16(p, head, stream);
}
