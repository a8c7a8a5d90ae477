/* Sums of rows run in so many lanes at every instruction-set level: the same bits everywhere. */
#ifndef WGI_CPU_LANES_H
#define WGI_CPU_LANES_H
enum { WGI_LANES = 64 };
#endif
