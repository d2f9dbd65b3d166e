#ifndef PG_TLS_VERDICT_H
#define PG_TLS_VERDICT_H

#include "base/error.h"

#include <libpq-fe.h>

/*
 * Why the server's certificate was refused. libpq says "certificate verify failed" whether it has
 * expired, is not valid yet, or comes from an authority that we do not know; whoever has to fix it
 * needs to know which. So one more handshake is made, only to look: nothing is sent but the request
 * for TLS, and the connection ends with it. Waits up to ten seconds; any thread.
 *
 * If err, from conn's failed try, is such a refusal, its message is made to name the reason with
 * the certificate's names and dates. Any other, or if nothing can be found out, stays as it is; a
 * certificate for another host, or TLS that one side lacks, is REFUSED, too.
 */
void pg_tls_verdict(const PGconn *conn, struct error *err);

/* What of this can be said without another handshake, for whoever cannot wait: that trying again
 * does not help is said of err, if it is so. */
void pg_tls_note(struct error *err);

#endif
