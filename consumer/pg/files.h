#ifndef PG_FILES_H
#define PG_FILES_H

#include "pg/connect.h"

/*
 * Files that libpq reads by itself for each connection: passwords, certificates, keys and
 * revocation lists, as named by the connection string, libpq's environment or the home folder; not
 * those named by fields of the options. Returns a digest of their contents: if it changes, a new
 * connection may be made differently. Any thread.
 */
uint64_t pg_files_digest(const struct pg_options *options);

#endif
