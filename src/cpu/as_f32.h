/* Opens a template's instance for f32: A is the type that is computed in, N(name) a name of this
 * instance, F(name) a formula (formula.h) for it. Close it with
 * as_end.h. Kernels exist for f32 and f64 only; other dtypes are converted a span at a time
 * (span_template.h). */
#include <math.h>

#include "cpu/formula.h"
#include "cpu/lanes.h"
#include "tensor/half.h"
#include "wengert/base.h"
#define A float
#define A_TYPE WG_F32
#define N(name) name##_f32
#define F(name) wgi_##name##_f32
#ifndef WGI_SPAN_F32
#define WGI_SPAN_F32
#include "cpu/span_template.h"
#endif
