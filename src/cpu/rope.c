/* Rotary positions; compiled once per level. */
#include "cpu/rope.h"

#include <math.h>

/* Below it, the multiple of pi / 2 taken from an angle has at most 20 bits: its product with a 33-bit part is exact. */
static const double REDUCIBLE = 1e6;

typedef struct {
    double sine, cosine;
} sine_cosine;

/* sin and cos without branches or calls, for loops that vectorise; within 2 ulp (f64) for |x| < REDUCIBLE. pi / 2 in three
 * parts after fdlibm, polynomials on [-pi / 4, pi / 4] after Cephes. */
static inline sine_cosine sine_cosine_of(double x)
{
    const double last_digit_is_1 = 0x1.8p52, t = x * 0.63661977236758134308 + last_digit_is_1;
    const double n = t - last_digit_is_1;
    uint64_t quadrant;
    memcpy(&quadrant, &t, sizeof quadrant);
    double r = x - n * 1.57079632673412561417e+00;
    r -= n * 6.07710050630396597660e-11;
    r -= n * 2.02226624871116645580e-21;
    const double z = r * r;
    double p = 1.58962301576546568060e-10, q = -1.13585365213876817300e-11;
    p = p * z - 2.50507477628578072866e-8;
    p = p * z + 2.75573136213857245213e-6;
    p = p * z - 1.98412698295895385996e-4;
    p = p * z + 8.33333333332211858878e-3;
    p = p * z - 1.66666666666666307295e-1;
    q = q * z + 2.08757008419747316778e-9;
    q = q * z - 2.75573141792967388112e-7;
    q = q * z + 2.48015872888517045348e-5;
    q = q * z - 1.38888888888730564116e-3;
    q = q * z + 4.16666666666665929218e-2;
    const double s = r + r * z * p, c = 1 - 0.5 * z + z * z * q;
    const double sine = quadrant & 1 ? c : s, cosine = quadrant & 1 ? s : c;
    return (sine_cosine) { quadrant & 2 ? -sine : sine, (quadrant + 1) & 2 ? -cosine : cosine };
}

#include "cpu/as_f32.h"
#include "cpu/rope_template.h"
#include "cpu/as_end.h"
#include "cpu/as_f64.h"
#include "cpu/rope_template.h"
#include "cpu/as_end.h"

const wgi_rope_kernels WGI_AT_LEVEL(wgi_rope_kernels) = {
    .angles = { angles_f32, angles_f64 },
    .rotate = { rotate_f32, rotate_f64 },
};
