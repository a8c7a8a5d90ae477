#include "cuda/update.h"
#include "wengert/base.h"

static bool is_plain(const wgi_update_entry *e)
{
    for (int k = 0; k < WGI_UPDATE_OPERANDS; k++) {
        if (!e->data[k]) continue;
        if ((uintptr_t)e->data[k] % 16 != 0) return false;
        if (k != WGI_UPDATE_LOW && e->type[k] != WG_F32) return false;
    }
    return true;
}

bool wgi_update_add(wgi_update_table *t, const wgi_update_entry *e)
{
    if (t->n == WGI_UPDATE_ENTRIES) return false;
    wgi_update_entry *to = &t->entry[t->n++];
    *to = *e;
    to->first = t->chunks;
    to->plain = is_plain(e);
    t->chunks += (e->n + WGI_UPDATE_CHUNK - 1) / WGI_UPDATE_CHUNK;
    return true;
}
