#ifndef ROWS_FLAGS_H
#define ROWS_FLAGS_H

/* The bits of flags columns: FLAG_time_zoneless and so on. See rows/flags.def. */
enum row_flag {
#define FLAG(bit, name, meaning) FLAG_##name = 1 << (bit),
#include "rows/flags.def"
#undef FLAG
};

#endif
