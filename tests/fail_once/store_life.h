#ifndef STORE_LIFE_H
#define STORE_LIFE_H

/*
 * A program with the store: it sets, finds, lists and deletes tokens whose uids begin with key.
 * Whatever call fails, the one of the store that it belongs to is done or says why not, and
 * succeeds when it is made again. 0: all was done the first time; 1: an error was reported on
 * stderr; anything else: a promise was broken, which stderr says as well.
 */
int store_life(const char *url, const char *key);

#endif
