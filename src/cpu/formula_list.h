/* The list of elementwise loops; it stands once. REAL1(name): name(x) for f32 and f64; REAL1A,
 * REAL1AB: with one, two numbers; REAL2(name): name(x, y); REAL2A, REAL2AB likewise. INTEGER1,
 * INTEGER2: the same name for i64 (INTEGER1AB: with two numbers). COMPARE: (x, y) -> bool. Every
 * name becomes WGI_FORMULA_name, from FORMULA(name). */
#ifndef FORMULA
#define FORMULA(name)
#endif
#ifndef REAL1
#define REAL1(name) FORMULA(name)
#define REAL1A(name) FORMULA(name)
#define REAL1AB(name) FORMULA(name)
#define REAL2(name) FORMULA(name)
#define REAL2A(name) FORMULA(name)
#define REAL2AB(name) FORMULA(name)
#endif
#ifndef INTEGER1
#define INTEGER1(name)
#define INTEGER1AB(name)
#define INTEGER2(name)
#define DIVIDE2(name)
#endif
#ifndef COMPARE
#define COMPARE(name) FORMULA(name)
#endif
REAL1(neg)
REAL1(abs)
REAL1(sign)
REAL1(exp)
REAL1(expm1)
REAL1(log)
REAL1(log1p)
REAL1(sqrt)
REAL1(rsqrt)
REAL1(square)
REAL1(reciprocal)
REAL1(sin)
REAL1(cos)
REAL1(tanh)
REAL1(sigmoid)
REAL1(softplus)
REAL1(relu)
REAL1A(leaky_relu)
REAL1A(elu)
REAL1(gelu)
REAL1(gelu_tanh)
REAL1(silu)
REAL1(erf)
REAL1(floor)
REAL1(round)
REAL1AB(clamp)
REAL1AB(affine)
REAL2(abs_backward)
REAL2(exp_backward)
REAL2(expm1_backward)
REAL2(log_backward)
REAL2(log1p_backward)
REAL2(sqrt_backward)
REAL2(rsqrt_backward)
REAL2(square_backward)
REAL2(reciprocal_backward)
REAL2(sin_backward)
REAL2(cos_backward)
REAL2(tanh_backward)
REAL2(sigmoid_backward)
REAL2(softplus_backward)
REAL2(relu_backward)
REAL2A(leaky_relu_backward)
REAL2A(elu_backward)
REAL2(gelu_backward)
REAL2(gelu_tanh_backward)
REAL2(silu_backward)
REAL2(erf_backward)
REAL2AB(clamp_backward)
REAL2(add)
REAL2(sub)
REAL2(mul)
REAL2(div)
REAL2(pow)
REAL2(maximum)
REAL2(minimum)
REAL2(floor_divide)
REAL2(remainder)
COMPARE(eq)
COMPARE(ne)
COMPARE(lt)
COMPARE(le)
INTEGER1(neg)
INTEGER1(abs)
INTEGER1(sign)
INTEGER1(square)
INTEGER1(relu)
INTEGER1(floor)
INTEGER1(round)
INTEGER1AB(clamp)
INTEGER2(add)
INTEGER2(sub)
INTEGER2(mul)
INTEGER2(pow)
INTEGER2(maximum)
INTEGER2(minimum)
DIVIDE2(floor_divide)
DIVIDE2(remainder)
#undef FORMULA
#undef REAL1
#undef REAL1A
#undef REAL1AB
#undef REAL2
#undef REAL2A
#undef REAL2AB
#undef INTEGER1
#undef INTEGER1AB
#undef INTEGER2
#undef DIVIDE2
#undef COMPARE
