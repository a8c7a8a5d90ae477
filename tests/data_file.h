/* Files of the shared data, which are not part of the project. */
#ifndef WENGERT_TESTS_DATA_FILE_H
#define WENGERT_TESTS_DATA_FILE_H
#include "folder.h"

/* A file of the shared data; NULL if it is not there. */
static inline const char *data_file(const char *name)
{
    const char *set = getenv("WENGERT_TEST_DATA");
    const char *roots[] = { set ? set : "", format("%s/../shared/data", WG_SOURCE_ROOT) };
    for (int i = 0; i < 2; i++) {
        const char *path = format("%s/%s", roots[i], name);
        if (*roots[i] && access(path, R_OK) == 0) return path;
    }
    printf("skipped: no data (%s)\n", name);
    return NULL;
}
#endif
