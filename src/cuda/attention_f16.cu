#include "cuda/attention_launch.cuh"

extern "C" void wgi_launch_attention_f16(const wgi_attention_pass *p, int head, void *stream)
{
    if (wgi_attention_has_extra(p))
        wgi::launch_forward<wgi::f16, true>(*p, head, stream);
    else
        wgi::launch_forward<wgi::f16, false>(*p, head, stream);
}
