// The C example, compiled as C++.
#include "../first_tensors.c"
