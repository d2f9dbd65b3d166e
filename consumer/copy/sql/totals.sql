-- Messages by outcome so far; in the same transaction as the rows, so that they always agree.
UPDATE ingest_progress
SET received = $2::bigint, stored = $3::bigint, duplicate = $4::bigint,
    dead_lettered = $5::bigint, skipped = $6::bigint, reasons = $7::text::jsonb,
    content = decode($11::text, 'hex'),
    gap_first_seq = coalesce($8::bigint, gap_first_seq),
    gap_last_seq = coalesce($9::bigint, gap_last_seq),
    gap_records = gap_records + $10::bigint
WHERE spool = $1::text::uuid
