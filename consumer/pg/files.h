#ifndef PG_FILES_H
#define PG_FILES_H

#include "pg/connect.h"

/*
 * Files that libpq reads by itself for each connection: passwords, certificates, keys and lists of
 * revoked ones, as the connection string, libpq's environment or the home folder name them. Those
 * that fields of the options name are not among them. Returns a digest of their contents: another
 * one means that another connection may be made in another way. Any thread.
 */
uint64_t pg_files_digest(const struct pg_options *options);

#endif
