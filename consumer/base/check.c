#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr,
		"level=error event=internal_error msg=\"internal inconsistency: %s\" at=%s:%d\n",
		condition, file, line);
	abort();
}
