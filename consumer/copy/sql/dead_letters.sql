-- Messages set aside. The same bytes on the same topic for the same reason are one row. Payload is
-- kept while the table is below its limit; the log has it in any case. Grouped by the key and nothing
-- else: topics whose digests somebody made equal must not make the statement fail.
INSERT INTO dead_letters (topic_digest, topic, payload_digest, reason, payload_bytes, payload,
    payload_sha256, charge_station_id, detail, error_offset, count, first_received_at,
    last_received_at, spool, seq, message_index)
SELECT x.topic_digest, min(x.topic), x.payload_digest, x.reason, x.payload_bytes,
    CASE WHEN pg_total_relation_size('dead_letters') < {next:dead_letters}::bigint
        THEN (array_agg(x.payload))[1] END,
    (array_agg(x.payload_sha256))[1], (array_agg(x.charge_station_id))[1],
    (array_agg(x.detail))[1], (array_agg(x.error_offset))[1],
    count(*), min(x.received_at), max(x.received_at), {next+1:dead_letters}::text::uuid,
    max(x.seq), (array_agg(x.message_index ORDER BY x.seq DESC))[1]
FROM {unnest:dead_letters}
GROUP BY x.topic_digest, x.payload_digest, x.reason, x.payload_bytes
ORDER BY x.topic_digest, x.payload_digest, x.reason, x.payload_bytes
ON CONFLICT (topic_digest, payload_digest, reason, payload_bytes) DO UPDATE
SET count = dead_letters.count + excluded.count,
    first_received_at = least(dead_letters.first_received_at, excluded.first_received_at),
    last_received_at = greatest(dead_letters.last_received_at, excluded.last_received_at),
    payload = coalesce(dead_letters.payload, excluded.payload),
    spool = excluded.spool,
    seq = excluded.seq,
    message_index = excluded.message_index
