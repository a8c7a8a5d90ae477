/* For checkpoints: a position is checked before anything changes. */
#ifndef WGI_DATA_LOADER_H
#define WGI_DATA_LOADER_H
#include "wengert/data.h"

/* Raises WG_EARG if at is no position of l. */
wg_status wgi_loader_check(const wg_loader *l, const int64_t at[4]);
#endif
