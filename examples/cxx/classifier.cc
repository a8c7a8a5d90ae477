// The C example, compiled as C++.
#include "../classifier.c"
