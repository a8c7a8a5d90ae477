/* Learning-rate schedules: pure functions of the step. */
#include <math.h>

#include "wengert/optim.h"

static double clamp01(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* Warm-up as nanoGPT's: step 0 is peak / (warmup + 1), step `warmup` is the peak. */
double wg_schedule_at(const wg_schedule *s, int64_t step)
{
    if (!s) return NAN;
    if (step < s->warmup)
        return s->peak * (double)(step < 0 ? 1 : step + 1) / (double)(s->warmup + 1);
    const int64_t from = s->kind == WG_WSD
                             ? (s->total - s->decay > s->warmup ? s->total - s->decay : s->warmup)
                             : s->warmup;
    const double length = (double)(s->total - from);
    const double t = length > 0         ? clamp01((double)(step - from) / length)
                     : step >= s->total ? 1
                                        : 0;
    switch (s->kind) {
    case WG_LINEAR:
    case WG_WSD: return s->peak + t * (s->floor - s->peak);
    case WG_COSINE:
        return s->floor + 0.5 * (1 + cos(3.14159265358979323846 * t)) * (s->peak - s->floor);
    default: return s->peak;
    }
}
