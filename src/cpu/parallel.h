/* The threads of the CPU, behind one door (OpenMP). Results do not depend on how many there are: what is summed is cut by its
 * size alone. */
#ifndef WGI_CPU_PARALLEL_H
#define WGI_CPU_PARALLEL_H
#include <stdint.h>

/* Runs body(self, first, last) over [0, n) in pieces of at most `grain`, in parallel if there are at least two. With as
 * many pieces as threads each has an equal part of [0, n), the same one for every n in proportion: rows that it wrote an op
 * ago are in its core's caches. Where parts end depends on the threads, so no result may. Inside a parallel region it runs
 * in order. */
void wgi_parallel_for(int64_t n, int64_t grain,
                      void (*body)(void *self, int64_t first, int64_t last), void *self);
/* Runs body(self, 0 .. tasks - 1), for tasks of unequal cost too: neighbours mostly on one thread, the same one each time.
 * wg_parallel is this. */
void wgi_parallel_tasks(int64_t tasks, void (*body)(void *self, int64_t task), void *self);

/* Threads that a region opened here would have: 1 within another. */
int wgi_threads_here(void);
/* The calling thread's number in its region, from 0; 0 outside of one. */
int wgi_thread(void);

/* An elementwise pass of n elements opens a region from twice this on; dearer formulas take a smaller grain. */
enum { WGI_GRAIN = 32768 };
#endif
