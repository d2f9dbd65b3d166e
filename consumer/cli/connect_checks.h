#ifndef CLI_CONNECT_CHECKS_H
#define CLI_CONNECT_CHECKS_H

#include "cli/cli.h"

/*
 * `config check --connect`: would the broker and the database take us, with these settings and
 * rights? Asked with what `run` asks with when it starts, and nothing is changed: no session stays
 * at the broker, and no row, file or folder is written. A line on stdout for each thing tried:
 * what, where, the outcome, and what to do. What hangs on something that failed is not tried.
 * Returns the exit code of the first failure.
 */
enum exit_code connect_checks(const struct config *config);

#endif
