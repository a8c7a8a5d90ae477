#include "cpu/parallel.h"

#include <omp.h>
#include <stdatomic.h>

#include "wengert/op.h"
#include "wengert/tensor.h"

static atomic_int chosen; /* 0: not asked for */

/* By the process's affinity mask, since more threads than cores only wait for each other: as OpenMP saw it at the start,
 * for under OMP_PROC_BIND the calling thread itself is bound to one core. */
static int allowed(void)
{
    const int cores = omp_get_num_procs(), most = omp_get_max_threads(); /* OMP_NUM_THREADS */
    return most < cores ? most : cores;
}

int wg_threads(void)
{
    int n = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (n == 0) {
        n = allowed();
        atomic_store_explicit(&chosen, n, memory_order_relaxed);
    }
    return n;
}

void wg_use_threads(int n)
{
    atomic_store_explicit(&chosen, n > 0 ? n : allowed(), memory_order_relaxed);
}

int wgi_threads_here(void)
{
    return omp_in_parallel() ? 1 : wg_threads();
}

int wgi_thread(void)
{
    return omp_get_thread_num();
}

static void run_pieces(int64_t first, int64_t last, int64_t grain,
                       void (*body)(void *self, int64_t first, int64_t last), void *self)
{
    for (int64_t i = first; i < last; i += grain)
        body(self, i, last - i < grain ? last : i + grain);
}

enum {
    MANY = 1024,
    UNIT = 64
}; /* grains of so many count elements: they are cut at whole cache lines */

void wgi_parallel_for(int64_t n, int64_t grain,
                      void (*body)(void *self, int64_t first, int64_t last), void *self)
{
    if (n <= 0) return;
    const int64_t pieces = (n + grain - 1) / grain, most = wgi_threads_here();
    const int threads = (int)(pieces < most ? pieces : most);
    if (threads == 1) {
        run_pieces(0, n, grain, body, self);
        return;
    }
    const int64_t unit = grain >= MANY ? UNIT : 1, units = (n + unit - 1) / unit;
#pragma omp parallel num_threads(threads)
    {
        const int64_t t = omp_get_thread_num(), team = omp_get_num_threads();
        run_pieces(t * units / team * unit, t + 1 == team ? n : (t + 1) * units / team * unit,
                   grain, body, self);
    }
}

/* Each thread has a run of tasks that follow each other, and when it is done takes from the others': so a thread mostly meets
 * what it wrote itself a region ago, and none waits while there is work. */
typedef struct {
    _Alignas(64) atomic_int_least64_t next;
} run;

enum { MOST_RUNS = 64 };

static void take_tasks(run *runs, int n, int64_t tasks, void (*body)(void *self, int64_t task),
                       void *self)
{
    const int first = omp_get_thread_num();
    for (int k = 0; k < n; k++) {
        const int r = (first + k) % n;
        const int64_t end = (r + 1) * tasks / n;
        int64_t task;
        while ((task = atomic_fetch_add_explicit(&runs[r].next, 1, memory_order_relaxed)) < end)
            body(self, task);
    }
}

void wgi_parallel_tasks(int64_t tasks, void (*body)(void *self, int64_t task), void *self)
{
    const int threads = wgi_threads_here(), n = threads < MOST_RUNS ? threads : MOST_RUNS;
    if (tasks <= 1 || threads == 1) {
        for (int64_t i = 0; i < tasks; i++) body(self, i);
        return;
    }
    run runs[MOST_RUNS];
    for (int r = 0; r < n; r++) atomic_init(&runs[r].next, r * tasks / n);
#pragma omp parallel num_threads(threads)
    take_tasks(runs, n, tasks, body, self);
}

void wg_parallel(int64_t tasks, void (*body)(void *self, int64_t task), void *self)
{
    wgi_parallel_tasks(tasks, body, self);
}
