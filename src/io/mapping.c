#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

wg_status wgi_raise_errno(const char *path)
{
    const int e = errno;
    const wg_status code = e == ENOENT ? WG_ENOTFOUND : e == ENOMEM ? WG_EMEM : WG_EIO;
    return wg_raise(code, "%s: %s", path, strerror(e));
}

static wgi_mapping *map_file(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        wgi_raise_errno(path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        wg_raise(WG_EIO, "%s: not a regular file", path);
        return NULL;
    }
    wgi_mapping *m = malloc(sizeof *m);
    if (!m) {
        wg_raise(WG_EMEM, "%s: out of memory", path);
        return NULL;
    }
    atomic_init(&m->refs, 1);
    m->bytes = (size_t)st.st_size;
    m->data = NULL;
    if (m->bytes == 0) return m; /* mmap refuses a length of 0 */
    void *p = mmap(NULL, m->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        wgi_raise_errno(path);
        free(m);
        return NULL;
    }
    m->data = p;
    return m;
}

wgi_mapping *wgi_mapping_open(const char *path)
{
    if (!path) {
        wg_raise(WG_EARG, "no file name given");
        return NULL;
    }
    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        wgi_raise_errno(path);
        return NULL;
    }
    wgi_mapping *m = map_file(fd, path);
    close(fd);
    return m;
}

wgi_mapping *wgi_mapping_ref(wgi_mapping *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void wgi_mapping_unref(wgi_mapping *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
    if (m->data) munmap((void *)(uintptr_t)m->data, m->bytes);
    free(m);
}
