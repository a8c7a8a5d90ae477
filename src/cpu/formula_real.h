/* Template: every elementwise formula and its derivative for one real type. Wants REAL and
 * F(name) (wgi_name_f32). A derivative name_backward(s, dy) takes what the op saves, s = x or y
 * as its comment says, and gives dx. Conventions at kinks are PyTorch's: relu'(0) = 0, abs'(0) =
 * 0, clamp passes at its limits. NaN goes through everywhere. */

/* clang-format off */
WGI_DEVICE REAL F(neg)(REAL x) { return -x; }
WGI_DEVICE REAL F(abs)(REAL x) { return F(copysign)(x, 1); }
WGI_DEVICE REAL F(sign)(REAL x) { return (REAL)(0 < x) - (REAL)(x < 0); }
WGI_DEVICE REAL F(rsqrt)(REAL x) { return 1 / F(sqrt)(x); }
WGI_DEVICE REAL F(square)(REAL x) { return x * x; }
WGI_DEVICE REAL F(reciprocal)(REAL x) { return 1 / x; }
WGI_DEVICE REAL F(relu)(REAL x) { return x <= 0 ? 0 : x; }
WGI_DEVICE REAL F(leaky_relu)(REAL x, REAL slope) { return x > 0 ? x : slope * x; }
WGI_DEVICE REAL F(elu)(REAL x, REAL alpha) { return x > 0 ? x : alpha * F(expm1)(x); }
WGI_DEVICE REAL F(affine)(REAL x, REAL a, REAL b) { return a * x + b; }
WGI_DEVICE REAL F(clamp)(REAL x, REAL low, REAL high)
{
    REAL y = x < low ? low : x;
    return y > high ? high : y;
}

/* By e^-|x|, which neither overflows nor loses the tail of small x. */
WGI_DEVICE REAL F(sigmoid)(REAL x)
{
    REAL e = F(exp)(-F(abs)(x));
    return (x < 0 ? e : 1) / (1 + e);
}
WGI_DEVICE REAL F(silu)(REAL x) /* -inf gives -inf * 0: the limit is 0; e^-1000 is 0 in f64 too */
{
    REAL c = x < -1000 ? -1000 : x;
    return c * F(sigmoid)(c);
}
WGI_DEVICE REAL F(softplus)(REAL x)
{
    return (x <= 0 ? 0 : x) + F(log1p)(F(exp)(-F(abs)(x)));
}

/* -inf gives -inf * 0: the limit is 0. */
WGI_DEVICE REAL F(gelu)(REAL x)
{
    REAL c = x < -64 ? -64 : x;
    return c * F(normal)(c);
}

/* u of 0.5 x (1 + tanh u) = x sigmoid(2u): u = sqrt(2/pi) (x + 0.044715 x^3). */
WGI_DEVICE REAL F(gelu_tanh)(REAL x)
{
    REAL c = x < -64 ? -64 : x;
    REAL v = (REAL)1.59576912160573071176 * (c + (REAL)0.044715 * c * c * c);
    return c * F(sigmoid)(v);
}

/* ---- derivatives ---- */
WGI_DEVICE REAL F(abs_backward)(REAL x, REAL dy) { return x > 0 ? dy : x < 0 ? -dy : 0; }
WGI_DEVICE REAL F(exp_backward)(REAL y, REAL dy) { return dy * y; }
WGI_DEVICE REAL F(expm1_backward)(REAL y, REAL dy) { return dy * (y + 1); }
WGI_DEVICE REAL F(log_backward)(REAL x, REAL dy) { return dy / x; }
WGI_DEVICE REAL F(log1p_backward)(REAL x, REAL dy) { return dy / (1 + x); }
WGI_DEVICE REAL F(sqrt_backward)(REAL y, REAL dy) { return (REAL)0.5 * dy / y; }
WGI_DEVICE REAL F(rsqrt_backward)(REAL y, REAL dy) { return (REAL)-0.5 * dy * (y * y * y); }
WGI_DEVICE REAL F(square_backward)(REAL x, REAL dy) { return 2 * x * dy; }
WGI_DEVICE REAL F(reciprocal_backward)(REAL y, REAL dy) { return -dy * (y * y); }
WGI_DEVICE REAL F(sin_backward)(REAL x, REAL dy) { return dy * F(cos)(x); }
WGI_DEVICE REAL F(cos_backward)(REAL x, REAL dy) { return -dy * F(sin)(x); }
WGI_DEVICE REAL F(tanh_backward)(REAL y, REAL dy) { return dy * (1 - y * y); }
WGI_DEVICE REAL F(sigmoid_backward)(REAL y, REAL dy) { return dy * (y * (1 - y)); }
WGI_DEVICE REAL F(softplus_backward)(REAL x, REAL dy) { return dy * F(sigmoid)(x); }
WGI_DEVICE REAL F(relu_backward)(REAL y, REAL dy) { return y <= 0 ? 0 : dy; }
WGI_DEVICE REAL F(leaky_relu_backward)(REAL x, REAL dy, REAL slope)
{
    return x > 0 ? dy : slope * dy;
}
WGI_DEVICE REAL F(elu_backward)(REAL x, REAL dy, REAL alpha)
{
    return x > 0 ? dy : dy * alpha * F(exp)(x);
}
WGI_DEVICE REAL F(silu_backward)(REAL x, REAL dy)
{
    REAL c = x < -1000 ? -1000 : x > 1000 ? 1000 : x;
    REAL s = F(sigmoid)(c);
    return dy * (s * (1 + c * (1 - s)));
}
WGI_DEVICE REAL F(erf_backward)(REAL x, REAL dy)
{
    return dy * ((REAL)1.12837916709551257390 * F(exp)(-(x * x)));
}
WGI_DEVICE REAL F(gelu_backward)(REAL x, REAL dy) { return dy * F(gelu_slope)(x); }
/* With s = sigmoid(v), v = 2u: s + x s (1 - s) v'; the factor s (1 - s) is 0 far out, where v'
 * is infinite. */
WGI_DEVICE REAL F(gelu_tanh_backward)(REAL x, REAL dy)
{
    REAL c = x < -16 ? -16 : x > 16 ? 16 : x;
    REAL v = (REAL)1.59576912160573071176 * (c + (REAL)0.044715 * c * c * c);
    REAL dv = (REAL)1.59576912160573071176 * (1 + (REAL)(3 * 0.044715) * c * c);
    REAL s = F(sigmoid)(v);
    return dy * (s + c * (s * (1 - s)) * dv);
}
WGI_DEVICE REAL F(clamp_backward)(REAL x, REAL dy, REAL low, REAL high)
{
    return x >= low && x <= high ? dy : 0;
}

/* ---- of two ---- */
WGI_DEVICE REAL F(add)(REAL x, REAL y) { return x + y; }
WGI_DEVICE REAL F(sub)(REAL x, REAL y) { return x - y; }
WGI_DEVICE REAL F(mul)(REAL x, REAL y) { return x * y; }
WGI_DEVICE REAL F(div)(REAL x, REAL y) { return x / y; }
WGI_DEVICE REAL F(maximum)(REAL x, REAL y) { return x > y || x != x ? x : y; }
WGI_DEVICE REAL F(minimum)(REAL x, REAL y) { return x < y || x != x ? x : y; }

/* The sign of y, as in Python. */
WGI_DEVICE REAL F(remainder)(REAL x, REAL y)
{
    REAL r = F(fmod)(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
/* floor(x / y), exact where the quotient's rounding would step over an integer; as Python's
 * float.__floordiv__. */
WGI_DEVICE REAL F(floor_divide)(REAL x, REAL y)
{
    if (y == 0) return x / y;
    REAL r = F(fmod)(x, y), q = (x - r) / y;
    if (r != 0 && (r < 0) != (y < 0)) q -= 1;
    if (q == 0) return F(copysign)(0, x / y);
    REAL f = F(floor)(q);
    return q - f > (REAL)0.5 ? f + 1 : f;
}

WGI_DEVICE bool F(eq)(REAL x, REAL y) { return x == y; }
WGI_DEVICE bool F(ne)(REAL x, REAL y) { return x != y; }
WGI_DEVICE bool F(lt)(REAL x, REAL y) { return x < y; }
WGI_DEVICE bool F(le)(REAL x, REAL y) { return x <= y; }
WGI_DEVICE bool F(isfinite)(REAL x) { return x - x == 0; }

/* ---- of three ---- */
WGI_DEVICE REAL F(where)(uint8_t c, REAL x, REAL y) { return c ? x : y; }
/* clang-format on */
