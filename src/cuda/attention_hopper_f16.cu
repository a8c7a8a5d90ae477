#include "cuda/attention_hopper_launch.cuh"

extern "C" void wgi_launch_attention_hopper_f16(const wgi_attention_pass *p, int head, void *stream)
{
    if (head == 64)
        wgi::launch_group_forward<wgi::group_f16, 64>(*p, stream);
    else
        wgi::launch_group_forward<wgi::group_f16, 128>(*p, stream);
}

extern "C" void wgi_launch_attention_hopper_backward_f16(const wgi_attention_pass *p, int head,
                                                         void *stream)
{
    if (head == 64)
        wgi::launch_group_backward<wgi::group_f16, 64>(*p, stream);
    else
        wgi::launch_group_backward<wgi::group_f16, 128>(*p, stream);
}
