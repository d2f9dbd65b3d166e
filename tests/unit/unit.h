#ifndef UNIT_H
#define UNIT_H

/* What every unit test includes: cmocka wants these headers before its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/slice.h"

#define assert_slice_equal(s, text)                                                                \
	do {                                                                                       \
		struct slice s_ = (s);                                                             \
		assert_int_equal(s_.size, strlen(text));                                           \
		assert_memory_equal(s_.data, text, s_.size);                                       \
	} while (0)

#endif
