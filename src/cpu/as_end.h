/* Closes what as_f32.h or as_f64.h opened. */
#undef A
#undef A_TYPE
#undef N
#undef F
