#ifndef CLI_CONNECT_CHECKS_H
#define CLI_CONNECT_CHECKS_H

#include "cli/cli.h"

/*
 * `config check --connect`: would the broker and the database accept us, with these settings and
 * rights? Uses the same code as the start of `run`, and changes nothing: no session stays at the
 * broker, and no row, file or folder is written. Prints one line per check on stdout: what, where,
 * the outcome, and what to do. Checks that depend on a failed one are skipped. Returns the exit
 * code of the first failure.
 */
enum exit_code connect_checks(const struct config *config);

#endif
