#include "cuda/attention_launch.cuh"

extern "C" void wgi_launch_attention_bf16(const wgi_attention_pass *p, int head, void *stream)
{
    if (wgi_attention_has_extra(p))
        wgi::launch_forward<wgi::bf16, true>(*p, head, stream);
    else
        wgi::launch_forward<wgi::bf16, false>(*p, head, stream);
}
