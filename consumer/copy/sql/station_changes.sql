-- What this batch has of each station, an element for each; fold_station_changes() takes it further.
INSERT INTO station_changes (stations, {columns:station_changes}, {columns:station_firmware},
    {columns:station_hours})
SELECT cardinality($1::text[]), $1::text[], $2::timestamptz[], $3::timestamptz[], $4::integer[],
    $5::integer[], $6::bigint[], $7::text[], $8::text[], $9::timestamptz[], $10::text[],
    $11::timestamptz[], $12::integer[]
