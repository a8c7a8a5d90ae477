/* Where a program computes: its option --device. */
#ifndef COMMON_DEVICE_H
#define COMMON_DEVICE_H
#include <stdbool.h>

/* New tensors, and models that are opened, go to the device of this name: cpu, cuda or cuda:N. False when it
 * complained; an error is pending where the device is not there. */
bool use_device(const char *name);
#endif
