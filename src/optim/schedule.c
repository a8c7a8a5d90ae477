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
    const double at = step > 0 ? (double)step : 0, warmup = s->warmup > 0 ? (double)s->warmup : 0;
    const double total = (double)s->total, decay = (double)s->decay; /* no sum of these overflows */
    if (at < warmup) return s->peak * (at + 1) / (warmup + 1);
    const double from = s->kind == WG_WSD ? fmax(total - decay, warmup) : warmup;
    const double t = total > from ? clamp01((at - from) / (total - from)) : at >= total ? 1 : 0;
    switch (s->kind) {
    case WG_LINEAR:
    case WG_WSD: return s->peak + t * (s->floor - s->peak);
    case WG_COSINE:
        return s->floor + 0.5 * (1 + cos(3.14159265358979323846 * t)) * (s->peak - s->floor);
    default: return s->peak;
    }
}
