/* Files written whole or not at all. The new content goes to PATH.tmp, is synced, and takes PATH's
 * place by rename; a crash at any moment leaves the old file, or the new one. The temporary's name
 * is fixed, so that one left over by a killed process is overwritten by the next; a lock on it
 * keeps two writers apart. */
#ifndef WGI_IO_REPLACE_H
#define WGI_IO_REPLACE_H
#include <stddef.h>

#include "wengert/error.h"

typedef struct {
    int fd;
    char *path, *temporary;
} wgi_replace;

/* Every failure raises and leaves nothing behind: no call of wgi_replace_abort is needed after one.
 */
wg_status wgi_replace_begin(wgi_replace *r, const char *path);
wg_status wgi_replace_write(wgi_replace *r, const void *data, size_t bytes);
/* fsync, rename, fsync of the folder. */
wg_status wgi_replace_commit(wgi_replace *r);
/* Removes the temporary file. A second call, or one after a commit, does nothing. */
void wgi_replace_abort(wgi_replace *r);
/* Removes path's temporary file if a writer that no longer lives left one. */
void wgi_replace_clean(const char *path);
/* Makes the folder and those above it; existing ones are fine. */
wg_status wgi_make_folder(const char *path);
#endif
