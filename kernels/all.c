/* Everything as one translation unit: one compilation per target. */
#include "attention.c"
#include "elementwise.c"
#include "linear.c"
#include "half.c"
#include "pool.c"
#include "quantised.c"
#include "rows.c"
