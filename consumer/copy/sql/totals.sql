-- What became of the messages so far; with the rows, so that it is true whenever they are there.
UPDATE ingest_progress
SET received = $2::bigint, stored = $3::bigint, duplicate = $4::bigint,
    dead_lettered = $5::bigint, skipped = $6::bigint, reasons = $7::text::jsonb,
    content = decode($10::text, 'hex'),
    gap_first_seq = coalesce($8::bigint, gap_first_seq),
    gap_last_seq = coalesce($9::bigint, gap_last_seq),
    gap_records = gap_records + coalesce($9::bigint - $8::bigint + 1, 0)
WHERE spool = $1::text::uuid
