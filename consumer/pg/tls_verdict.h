#ifndef PG_TLS_VERDICT_H
#define PG_TLS_VERDICT_H

#include "base/error.h"

#include <libpq-fe.h>

/*
 * Why the server's certificate was refused. libpq says "certificate verify failed" whether it has
 * expired, is not valid yet, was revoked, or comes from an unknown authority; whoever has to fix it
 * needs to know which. So we make one more handshake just to look: it sends only the request for
 * TLS, and then the connection ends. Waits up to ten seconds; any thread.
 *
 * If err, from conn's failed attempt, is such a refusal, its message becomes the reason with the
 * certificate's names and dates. If it is anything else, or nothing can be found out, it stays as
 * it is; a certificate for another host, one of ours that the server does not take, or TLS that
 * one side lacks, becomes REFUSED, too.
 */
void pg_tls_verdict(const PGconn *conn, struct error *err);

/* The same without another handshake, for callers that cannot wait: only marks err as needing a
 * person, if it does. */
void pg_tls_note(struct error *err);

#endif
