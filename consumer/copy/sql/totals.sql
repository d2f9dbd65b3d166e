-- What became of the messages so far; with the rows, so that it is true whenever they are there.
UPDATE ingest_progress
SET received = $2::bigint, stored = $3::bigint, duplicate = $4::bigint,
    dead_lettered = $5::bigint, skipped = $6::bigint, reasons = $7::text::jsonb,
    content = decode($11::text, 'hex'),
    gap_first_seq = coalesce($8::bigint, gap_first_seq),
    gap_last_seq = coalesce($9::bigint, gap_last_seq),
    gap_records = gap_records + $10::bigint
WHERE spool = $1::text::uuid
