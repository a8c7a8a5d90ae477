/* Checks that layers make of their configuration. */
#include "nn/parts.h"

#include "wengert/error.h"

bool wgi_has_config(const wg_module *m, const void *config)
{
    if (!config) wg_raise(WG_EARG, "%s: its configuration is NULL", m->type->name);
    return config != NULL;
}

bool wgi_positive(const wg_module *m, const char *name, int64_t value)
{
    const int64_t limit = (int64_t)1 << 30;
    if (value >= 1 && value <= limit) return true;
    wg_raise(WG_EARG, "%s: %s = %lld should be %s", m->type->name, name, (long long)value,
             value < 1 ? "positive" : "at most 2^30");
    return false;
}

bool wgi_divides(const wg_module *m, const char *divisor, int64_t d, const char *name,
                 int64_t value)
{
    if (value % d == 0) return true;
    wg_raise(WG_EARG, "%s: %s = %lld does not divide %s = %lld", m->type->name, divisor,
             (long long)d, name, (long long)value);
    return false;
}
