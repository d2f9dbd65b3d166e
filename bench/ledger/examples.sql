SELECT d.kind, d.fault, d.key, coalesce(d.m::text, '-'), d.content::text
FROM (
    SELECT *, row_number() OVER (PARTITION BY kind, fault ORDER BY m, key) AS n FROM differences
) d
WHERE d.n <= 3
ORDER BY d.kind, d.fault, d.n
