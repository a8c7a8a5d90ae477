/* Template (A, N, F): the formulas of losses of one value a place and of their derivatives by x (dx) and by the target (dt),
 * for the CPU's loops and for CUDA. x: prediction, t: target, p: positive weight (binary cross-entropy only), c: Huber's
 * delta. */
WGI_DEVICE A N(mse)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return (x - t) * (x - t);
}
WGI_DEVICE A N(mse_dx)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return 2 * (x - t);
}
WGI_DEVICE A N(mse_dt)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return 2 * (t - x);
}

WGI_DEVICE A N(l1)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(abs)(x - t);
}
WGI_DEVICE A N(l1_dx)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(sign)(x - t);
}
WGI_DEVICE A N(l1_dt)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(sign)(t - x);
}

WGI_DEVICE A N(huber)(A x, A t, A p, A c)
{
    (void)p;
    const A d = F(abs)(x - t);
    return d <= c ? (A)0.5 * d * d : c * (d - (A)0.5 * c);
}
WGI_DEVICE A N(huber_dx)(A x, A t, A p, A c)
{
    (void)p;
    return F(clamp)(x - t, -c, c);
}
WGI_DEVICE A N(huber_dt)(A x, A t, A p, A c)
{
    (void)p;
    return F(clamp)(t - x, -c, c);
}

/* p t softplus(-x) + (1 - t) softplus(x) = -p t log s(x) - (1 - t) log(1 - s(x)), s the logistic
 * function; by e^-|x|, so that neither tail cancels. */
WGI_DEVICE A N(bce)(A x, A t, A p, A c)
{
    (void)c;
    const A tail = F(log1p)(F(exp)(-F(abs)(x)));
    return p * t * (F(relu)(-x) + tail) + (1 - t) * (F(relu)(x) + tail);
}
WGI_DEVICE A N(bce_dx)(A x, A t, A p, A c)
{
    (void)c;
    const A e = F(exp)(-F(abs)(x)), small = e / (1 + e), large = 1 / (1 + e);
    return (1 - t) * (x < 0 ? small : large) - p * t * (x < 0 ? large : small);
}
WGI_DEVICE A N(bce_dt)(A x, A t, A p, A c)
{
    (void)t, (void)c;
    const A tail = F(log1p)(F(exp)(-F(abs)(x)));
    return p * (F(relu)(-x) + tail) - (F(relu)(x) + tail);
}

/* t (log t - x), 0 at t = 0 */
WGI_DEVICE A N(kl)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    const A y = t * (F(log)(t) - x);
    return t == 0 ? 0 : y;
}
WGI_DEVICE A N(kl_dx)(A x, A t, A p, A c)
{
    (void)x, (void)p, (void)c;
    return -t;
}
WGI_DEVICE A N(kl_dt)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    const A y = F(log)(t) + 1 - x;
    return t == 0 ? 0 : y;
}

WGI_DEVICE A N(kl_log)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(exp)(t) * (t - x);
}
WGI_DEVICE A N(kl_log_dx)(A x, A t, A p, A c)
{
    (void)x, (void)p, (void)c;
    return -F(exp)(t);
}
WGI_DEVICE A N(kl_log_dt)(A x, A t, A p, A c)
{
    (void)p, (void)c;
    return F(exp)(t) * (t - x + 1);
}
