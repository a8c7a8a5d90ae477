/* The registry's tests: what every op, built-in or a user's, has to pass. */
#ifndef WGI_AUTOGRAD_OPTEST_H
#define WGI_AUTOGRAD_OPTEST_H
#include "autograd/node.h"

typedef struct {
    const char *label;
    wg_list in;
    const void *attr;
    wg_status code;      /* WG_OK: a sample that works; else what it must raise, */
    const char *message; /* beginning so */
} wgi_sample;

struct wg_samples {
    int64_t n, capacity;
    wgi_sample *s;
    size_t attr_size;
};

/* One op x sample under test. */
typedef struct {
    const wg_op *op;
    const wgi_sample *sample;
    const void *
        attr_there; /* the sample's attribute as it is made on the device: makers name theirs in it */
    wg_device device;
    FILE *report;
    wg_op_report *counts;
    const char *variant; /* "bf16 transposed" */
    wg_generator random; /* every run begins here */
} wgi_optest;

enum {
    WGI_LAYOUT_PLAIN,
    WGI_LAYOUT_TRANSPOSED,
    WGI_LAYOUT_NARROWED,
    WGI_LAYOUT_EXPANDED,
    WGI_LAYOUT_COUNT
};
const char *wgi_layout_name(int layout);

/* Counts a case; a failed one is printed: `softmax/tails bf16 transposed: dx[17] got ... want ...`. */
void wgi_case(wgi_optest *t, bool ok, const char *fmt, ...) WG_PRINTF(3, 4);
/* in with floating tensors cast to `as` (0: as they are) on the CPU, then on device d, there in a layout; NULL stays NULL,
 * weak scalars where they are. */
wg_list wgi_variant(wg_list in, wg_dtype as, wg_device d, int layout);
/* in with blocks as f64: references read elements. */
wg_list wgi_dequantised(wg_list in);
/* Visible outputs of op on in, from the test's random state; n = 0 after an error. */
wg_list wgi_outputs(wgi_optest *t, const wg_op *op, wg_list in);
/* got against want, element by element in f64. The tolerance comes from the dtype, the length of the sums behind it, and
 * `scale`, the size that their terms may have though the sum is small. */
bool wgi_compare(wgi_optest *t, const char *what, wg_tensor *got, wg_tensor *want, wg_dtype as,
                 double length, double scale);
/* Clears an error that a row may raise: 16-bit floats refused by name, a view that would need a copy in this layout. */
bool wgi_refused(wgi_optest *t, wg_dtype as, int layout);
/* How long sums in this sample may be: elements of the largest input. */
double wgi_length(wg_list in);
/* Which inputs are differentiated. */
bool wgi_differentiable(const wg_op *op, wg_list in, int64_t i);

/* The groups of tests: optest_values.c, optest_gradients.c */
void wgi_test_values(wgi_optest *t);
void wgi_test_updates(wgi_optest *t);
void wgi_test_gradients(wgi_optest *t);
#endif
