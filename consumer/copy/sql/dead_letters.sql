-- Messages set aside, from the temporary table that they were copied into, which has each once.
-- Payload and long topics are kept while the table is below its limit ($2 bytes); the log has them
-- in any case. The size is queried once, not for each row.
INSERT INTO dead_letters AS t ({columns:dead_letters}, topic_bytes, spool)
SELECT d.topic_digest, CASE WHEN s.small OR d.topic_raw IS NULL AND octet_length(d.topic) <= $3::integer
        THEN d.topic ELSE left(d.topic, $3::integer / 4) END,
    CASE WHEN s.small THEN d.topic_raw END, d.payload_digest, d.reason, d.payload_bytes,
    CASE WHEN s.small THEN d.payload END, d.payload_sha256, d.charge_station_id, d.detail,
    d.error_offset, d.count, d.first_received_at, d.last_received_at, d.seq, d.message_index,
    CASE WHEN NOT s.small AND (d.topic_raw IS NOT NULL OR octet_length(d.topic) > $3::integer)
        THEN coalesce(octet_length(d.topic_raw), octet_length(d.topic)) END, $1::text::uuid
FROM pg_temp.new_dead_letters d,
    (SELECT pg_total_relation_size('dead_letters') < $2::bigint AS small OFFSET 0) s
ORDER BY d.topic_digest, d.payload_digest, d.reason, d.payload_bytes
ON CONFLICT (topic_digest, payload_digest, reason, payload_bytes) DO UPDATE
SET count = t.count + excluded.count,
    first_received_at = least(t.first_received_at, excluded.first_received_at),
    last_received_at = greatest(t.last_received_at, excluded.last_received_at),
    payload = coalesce(t.payload, excluded.payload),
    spool = excluded.spool,
    seq = excluded.seq,
    message_index = excluded.message_index
