/*
 * All kernels for one native instruction set. Compiled once for each, with that set's flags and -DINSTRUCTION_SET=name;
 * only the table leaves, so that all sets can live in one add-on. native.c picks among them.
 */
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define OWN(name) JOIN(INSTRUCTION_SET, name)

/* What all.c shares between its files has a name of its own in each set. */
#define exp_constants OWN(exp_constants)
#define gelu_constants OWN(gelu_constants)
#define slope_constants OWN(slope_constants)
#define activate_run OWN(activate_run)

#include "all.c"
#include "table.h"

#define ENTRY(name) name,
__attribute__((visibility("hidden"))) kernel *const OWN(kernels)[] = {KERNELS(ENTRY)};
