/* Tensors as text, after NumPy's array2string with precision 4: aligned columns, lines of at most
 * 75 characters, beyond 1,000 elements only three at both ends of each axis. What the numbers do
 * not show follows behind: the dtype unless it is f32, the shape if it is shortened or empty, the
 * device if it is not the CPU: `[1 2 3] i64`. */
#include "tensor/internal.h"

#include <math.h>

enum { PRECISION = 4, EDGE = 3, THRESHOLD = 1000, LINE = 75, CELL = 48 };

typedef enum { FIXED, SCIENTIFIC, INTEGER, BOOLEAN } style;

typedef struct {
    const wg_tensor *t; /* on the CPU */
    bool shortened;
    style style;
    int whole, fraction, width; /* FIXED: digits before and after the point; cells are width wide */
    double least, most;         /* of the finite magnitudes that are not 0 */
    FILE *f;
    int column;
} printer;

/* ---- one element
 * --------------------------------------------------------------------------------- */

/* Without trailing zeros: "1.5000" -> "1.5", "2.0000" -> "2."; keeps an exponent. Returns the
 * digits left after the point. */
static int trim(char *s)
{
    char *point = strchr(s, '.'), *exponent = strchr(s, 'e');
    if (!point) return 0;
    char *end = exponent ? exponent : s + strlen(s), *last = end;
    while (last[-1] == '0') last--;
    memmove(last, end, strlen(end) + 1);
    return (int)(last - point) - 1;
}

static const void *element(const wg_tensor *t, int64_t offset)
{
    return (const char *)wgi_data(t) + offset * (int64_t)wgi_dtype_bytes[t->dtype];
}

static void write_special(char *out, double v)
{
    snprintf(out, CELL, "%s", v != v ? "nan" : v > 0 ? "inf" : "-inf");
}

/* The element's cell, not yet padded on the left. */
static void write_cell(const printer *p, char *out, int64_t offset)
{
    const void *at = element(p->t, offset);
    const wg_dtype t = (wg_dtype)p->t->dtype;
    if (p->style == INTEGER || p->style == BOOLEAN) {
        int64_t v = wgi_load_int(at, t);
        if (p->style == BOOLEAN)
            snprintf(out, CELL, "%s", v ? "True" : "False");
        else
            snprintf(out, CELL, "%lld", (long long)v);
        return;
    }
    double v = wgi_load(at, t);
    if (!isfinite(v)) {
        write_special(out, v);
    } else if (p->style == SCIENTIFIC) {
        snprintf(out, CELL, "%#.*e", p->fraction, v);
    } else {
        snprintf(out, CELL, "%.*f", PRECISION, v);
        int digits = trim(out);
        size_t length = strlen(out);
        for (; digits < p->fraction; digits++) out[length++] = ' ';
        out[length] = 0;
    }
}

/* ---- over the elements that are shown
 * ---------------------------------------------------------------- */

static bool left_out(const printer *p, int axis, int64_t i)
{
    int64_t n = p->t->shape[axis];
    return p->shortened && n > 2 * EDGE && i >= EDGE && i < n - EDGE;
}

static void each(printer *p, int axis, int64_t offset, void (*see)(printer *p, int64_t offset))
{
    if (axis == p->t->ndim) {
        see(p, offset);
        return;
    }
    for (int64_t i = 0; i < p->t->shape[axis]; i++)
        if (left_out(p, axis, i))
            i = p->t->shape[axis] - EDGE - 1;
        else
            each(p, axis + 1, offset + i * p->t->strides[axis], see);
}

static void see_magnitude(printer *p, int64_t offset)
{
    double v = fabs(wgi_load(element(p->t, offset), (wg_dtype)p->t->dtype));
    if (!isfinite(v) || v == 0) return;
    if (v < p->least) p->least = v;
    if (v > p->most) p->most = v;
}

static void see_fraction(printer *p, int64_t offset)
{
    char text[CELL];
    double v = wgi_load(element(p->t, offset), (wg_dtype)p->t->dtype);
    if (!isfinite(v)) return;
    snprintf(text, sizeof text, p->style == SCIENTIFIC ? "%.4e" : "%.4f", v);
    int digits = trim(text);
    if (digits > p->fraction) p->fraction = digits;
}

static void see_width(printer *p, int64_t offset)
{
    char text[CELL];
    write_cell(p, text, offset);
    int width = (int)strlen(text);
    if (width > p->width) p->width = width;
}

static void choose_style(printer *p)
{
    const wg_dtype t = (wg_dtype)p->t->dtype;
    p->fraction = p->width = 0;
    p->least = INFINITY;
    p->most = 0;
    p->style = t == WG_BOOL ? BOOLEAN : wg_dtype_is_float(t) ? FIXED : INTEGER;
    if (p->style == FIXED) {
        each(p, 0, 0, see_magnitude);
        if (p->most > 0 && (p->most >= 1e8 || p->least < 1e-4 || p->most / p->least > 1000))
            p->style = SCIENTIFIC;
        each(p, 0, 0, see_fraction);
    }
    each(p, 0, 0, see_width);
}

/* ---- brackets and lines
 * ---------------------------------------------------------------------------------- */

static void new_line(printer *p, int indent)
{
    fprintf(p->f, "\n%*s", indent, "");
    p->column = indent;
}

/* One innermost row: cells behind blanks, broken where the line is full. */
static void print_row(printer *p, int64_t offset)
{
    const int axis = p->t->ndim - 1, indent = p->t->ndim;
    const int64_t n = p->t->shape[axis];
    fputc('[', p->f);
    p->column++;
    for (int64_t i = 0; i < n; i++) {
        char text[CELL];
        int width = p->width;
        if (left_out(p, axis, i)) {
            snprintf(text, sizeof text, "...");
            width = 3;
            i = n - EDGE - 1;
        } else {
            write_cell(p, text, offset + i * p->t->strides[axis]);
        }
        bool first = p->column == indent;
        if (!first && p->column + 1 + width > LINE - p->t->ndim) { /* room for the brackets */
            new_line(p, indent);
            first = true;
        }
        fprintf(p->f, "%s%*s", first ? "" : " ", width, text);
        p->column += width + !first;
    }
    fputc(']', p->f);
}

static void print_axis(printer *p, int axis, int64_t offset)
{
    if (axis == p->t->ndim - 1) {
        print_row(p, offset);
        return;
    }
    const int64_t n = p->t->shape[axis];
    fputc('[', p->f);
    p->column++;
    for (int64_t i = 0; i < n; i++) {
        if (i > 0)
            for (int lines = axis + 1; lines < p->t->ndim; lines++)
                new_line(p, lines + 1 < p->t->ndim ? 0 : axis + 1);
        if (left_out(p, axis, i)) {
            fputs("...", p->f);
            i = n - EDGE - 1;
        } else {
            print_axis(p, axis + 1, offset + i * p->t->strides[axis]);
        }
    }
    fputc(']', p->f);
}

static void print_elements(FILE *f, const wg_tensor *t, bool shortened)
{
    printer p = { .t = t, .f = f, .shortened = shortened };
    choose_style(&p);
    if (t->ndim == 0) {
        char text[CELL];
        write_cell(&p, text, 0);
        fputs(text, f);
    } else {
        print_axis(&p, 0, 0);
    }
}

/* The same numbers on the CPU, each an element; the caller's. NULL: raised. */
static wg_tensor *fetched(wg_tensor *t)
{
    const wg_dtype as = wgi_in_blocks(t->dtype) ? WG_F32 : (wg_dtype)t->dtype;
    wg_tensor *x = wgi_tensor_make(wgi_ctx(), as, wg_cpu(), wgi_shape(t));
    if (x && wg_read(t, wgi_data(x), x->storage->bytes, as) != WG_OK) {
        wgi_unref(x);
        x = NULL;
    }
    return x;
}

void wg_print(FILE *f, wg_tensor *t)
{
    if (!f) {
        wg_raise(WG_EARG, "print: no file");
        return;
    }
    if (wgi_refuse(t, "print")) {
        fprintf(f, "(error: %s)\n", wg_error_get()->message);
        return;
    }
    char shape[256], device[24];
    wg_dims d = wgi_shape(t);
    wgi_shape_text(shape, sizeof shape, &d);
    wgi_device_text(device, sizeof device, t->device);
    const bool shown = t->numel > 0 && t->device.kind != WG_META, shortened = t->numel > THRESHOLD;
    if (shown) {
        wg_tensor *x =
            t->device.kind == WG_CPU && !wgi_in_blocks(t->dtype) ? wgi_ref(t) : fetched(t);
        if (!x) return;
        print_elements(f, x, shortened);
        wgi_unref(x);
    } else {
        fputs(t->device.kind == WG_META ? "[...]" : "[]", f);
    }
    if (!shown || shortened) fprintf(f, " %s", shape);
    if (!shown || t->dtype != WG_F32) fprintf(f, " %s", wg_dtype_name((wg_dtype)t->dtype));
    if (t->device.kind != WG_CPU) fprintf(f, " %s", device);
    fputc('\n', f);
}
