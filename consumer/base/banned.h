#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/*
 * Calls that have a safer form here become compile errors. Force-included into every file
 * (-include), so that the ban cannot be forgotten. Keep the list short: each line is a call that
 * has cost other programs a bug.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy sprintf vsprintf strtok atoi atol gmtime localtime

#endif
