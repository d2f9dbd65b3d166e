#ifndef POWER_DISK_H
#define POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a power cut can leave of a folder of files. The linker lets every call that changes a file
 * pass through here (--wrap, CMakeLists.txt): it is made, and written down if it is of the folder
 * that is recorded. A cut after any of these calls can then be made in another folder:
 *
 *	of a file   what was written before its last fdatasync() or fsync() began is there; of
 *	            what came later, any part: each write, size and sector of 512 bytes by itself,
 *	            in any order;
 *	of names    what was made, renamed and removed before the last fsync() of the folder began
 *	            is there; of what came later, any part. A rename is there or not, never half.
 *
 * POSIX promises no more, and file systems have done each of these. Recording: any thread; one
 * folder at a time. disk_cut(): while nothing is recorded.
 */

/* What a disk may do that it must not; DISK_HONEST is as above. */
enum disk_fault {
	DISK_HONEST,
	DISK_NO_DATA_SYNC,   /* fdatasync() does nothing */
	DISK_NO_FOLDER_SYNC, /* fsync() of the folder does nothing */
};

/* From now on, of the folder as it is: all of that counts as on disk. */
void disk_record(const char *folder, enum disk_fault fault);

/* No more; what was recorded stays until disk_record() is called again. */
void disk_stop(void);

/* Calls recorded so far: a moment for disk_cut(). Any thread. */
size_t disk_calls(void);

/* Make in folder, which is empty, what the first calls may have left. *random moves on; the same
 * begins the same cut. */
void disk_cut(const char *folder, size_t calls, uint64_t *random);

/* 0 to below - 1, by SplitMix64. */
uint64_t disk_random(uint64_t *random, uint64_t below);

#endif
