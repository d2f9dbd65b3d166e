#ifndef DAEMON_STATUS_PAGE_H
#define DAEMON_STATUS_PAGE_H

#include "base/error.h"
#include "base/slice.h"

/*
 * The status page: one file, status.html, compiled in. It polls status.json (status.h) beside it,
 * and loads nothing else: the policy lets a browser run its script and apply its style, which it
 * names by their digests, and connect to where the page came from.
 */
enum { STATUS_POLICY_BYTES = 512 };

struct status_page {
	struct slice html;
	char policy[STATUS_POLICY_BYTES]; /* Content-Security-Policy */
};

/* Embedded in the caller's memory; owns nothing. FATAL: out of memory. */
MUST_CHECK bool status_page_init(struct status_page *page, struct error *err);

#endif
