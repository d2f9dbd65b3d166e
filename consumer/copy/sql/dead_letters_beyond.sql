-- Runs before dead_letters.sql if there may not be room for all: those beyond $2 rows are only
-- counted, and removed from the temporary table. A letter that already has a row needs no room.
-- Returns the remaining ones.
WITH room AS MATERIALIZED (
    SELECT $2::bigint - (SELECT count(*) FROM (SELECT FROM dead_letters LIMIT $2::bigint) r) AS n
), letters AS MATERIALIZED (
    SELECT d.ctid AS place, d.reason, d.payload_bytes, d.count, d.first_received_at,
        d.last_received_at, d.seq, d.message_index,
        row_number() OVER (ORDER BY d.seq, d.message_index, d.ctid) AS nth
    FROM pg_temp.new_dead_letters d
    WHERE NOT EXISTS (
        SELECT FROM dead_letters o
        WHERE o.topic_digest = d.topic_digest AND o.payload_digest = d.payload_digest
          AND o.reason = d.reason AND o.payload_bytes = d.payload_bytes)
), beyond AS MATERIALIZED (
    SELECT l.* FROM letters l WHERE l.nth > (SELECT n FROM room)
), gone AS (
    DELETE FROM pg_temp.new_dead_letters d
    WHERE d.ctid = ANY (ARRAY(SELECT b.place FROM beyond b))
), counted AS (
    INSERT INTO dead_letters_beyond AS t (reason, count, payload_bytes, first_received_at,
        last_received_at, spool, seq, message_index)
    SELECT b.reason, sum(b.count), sum(b.payload_bytes * b.count), min(b.first_received_at),
        max(b.last_received_at), $1::text::uuid, max(b.seq),
        (array_agg(b.message_index ORDER BY b.seq DESC, b.message_index DESC))[1]
    FROM beyond b
    GROUP BY b.reason
    ORDER BY b.reason
    ON CONFLICT (reason) DO UPDATE
    SET count = t.count + excluded.count,
        payload_bytes = t.payload_bytes + excluded.payload_bytes,
        first_received_at = least(t.first_received_at, excluded.first_received_at),
        last_received_at = greatest(t.last_received_at, excluded.last_received_at),
        spool = excluded.spool,
        seq = excluded.seq,
        message_index = excluded.message_index
)
SELECT greatest((SELECT n FROM room) - (SELECT count(*) FROM letters), 0)
