#include "base/bytes.h"
#include "base/digest.h"
#include "replay/readers/source_private.h"

void source_content_begin(struct replay_source *s, const uint8_t before[static SHA256_BYTES])
{
	sha256_reset(s->content);
	sha256_add(s->content, before, SHA256_BYTES);
}

/* Each part has its own size, so that nothing can shift from one to the next. Long parts are
 * represented by a digest: SHA-256 over all bytes would be a tenth of the work of a replay. */
void source_content_add(struct replay_source *s, struct record *r)
{
	uint8_t parts[5 * 8 + DIGEST128_BYTES], *at = parts;

	at = put_be64(at, r->seq);
	at = put_be64(at, (uint64_t)r->received_us);
	at = put_be64(at, r->flags);
	at = put_be64(at, digest64(r->topic.data, r->topic.size));
	at = put_be64(at, digest64(r->trace.data, r->trace.size));
	digest128(r->payload.data, r->payload.size, at);
	sha256_add(s->content, parts, sizeof(parts));

	r->link = (struct position_link){.checksum = digest64(parts, sizeof(parts))};
	s->sum += r->link.checksum;
	r->link.log = (struct position){.seq = r->seq,
		.counted = true,
		.records = r->seq,
		.digested = true,
		.digest_from = 1,
		.digest = s->sum};
}

bool replay_source_content(const struct replay_source *s, uint64_t seq,
	uint8_t out[static SHA256_BYTES])
{
	if (s->seq != seq)
		return false;
	sha256_get(s->content, out);
	return true;
}
