/* Everything as one translation unit: one compilation per target. */
#include "attention.c"
#include "elementwise.c"
#include "linear.c"
#include "pool.c"
#include "rows.c"
