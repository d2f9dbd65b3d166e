#ifndef FAIL_ONCE_H
#define FAIL_ONCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Makes the N-th call of a program fail: of all calls in calls.def that can fail in that way, by
 * whatever thread. The linker's --wrap puts wrap.c between our objects and the C library, libpq and
 * paho, so it is our calls that are counted, not those of libraries; what runs is otherwise the
 * same.
 */
enum fail_way {
	FAIL_EIO = 1 << 0,
	FAIL_ENOSPC = 1 << 1,
	FAIL_EINTR = 1 << 2,  /* of what may wait */
	FAIL_SHORT = 1 << 3,  /* half of what was asked for, and no error */
	FAIL_MEMORY = 1 << 4, /* and threads, descriptors, contexts of libraries */
	FAIL_LIBPQ = 1 << 5,  /* says that it failed, and has not done it */
	FAIL_CUT = 1 << 6,    /* the connection to PostgreSQL is cut when libpq is called */
	FAIL_MQTT = 1 << 7,
};

/* What a run tells, in memory shared with the process that began it. */
struct fail_told {
	_Atomic uint64_t calls;  /* that can fail in this way */
	_Atomic uint64_t at, by; /* where in the program the failed one is, and who called that;
				      0: none failed */
	_Atomic uint64_t again_at,
		again_by; /* the same of a sync of a file whose sync had failed */
	/* For scenarios of our own. */
	_Atomic uint64_t acknowledged, released;
	char name[32];      /* of the call that failed */
	_Atomic bool waits; /* calls count once this is false */
	/* It has begun to connect, or to change files: whatever it does may outlast it. */
	_Atomic bool acted;
};

/* From now on, in this process, while told->waits is false. call: which fails, from 1; 0: they are
 * only counted. way 0: none is. told: shared memory. */
void fail_once_begin(enum fail_way way, uint64_t call, struct fail_told *told);

/* "EIO", ...; 0 if there is no such way. */
enum fail_way fail_way_of(const char *name);

#endif
