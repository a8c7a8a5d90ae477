// The C example, compiled as C++.
#include "../recurrent.c"
