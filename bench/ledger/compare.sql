-- The two side by side. lost: must be there and is not. altered: its key is there with other
-- content. doubled: there more often than once; answers to a start, of which a refused one that was
-- sent again has several alike, more often than they were given. unexpected: there, and nobody sent
-- it.
CREATE TEMPORARY TABLE differences AS
WITH e AS (
    SELECT kind, key, content, bool_or(must) AS must, min(m) AS m,
        CASE WHEN kind = 'transaction_starts' THEN count(DISTINCT m) ELSE 1 END AS times
    FROM expected
    GROUP BY kind, key, content
), s AS (
    SELECT kind, key, content, count(*) AS rows FROM stored GROUP BY kind, key, content
), expected_keys AS (
    SELECT kind, key FROM e GROUP BY kind, key
), stored_keys AS (
    SELECT kind, key FROM s GROUP BY kind, key
)
SELECT e.kind, CASE WHEN k.key IS NULL THEN 'lost' ELSE 'altered' END AS fault, e.key, e.content, e.m
FROM e
LEFT JOIN s ON s.kind = e.kind AND s.key = e.key AND s.content = e.content
LEFT JOIN stored_keys k ON k.kind = e.kind AND k.key = e.key
WHERE e.must AND s.key IS NULL
UNION ALL
SELECT s.kind, 'doubled', s.key, s.content, e.m
FROM s JOIN e ON e.kind = s.kind AND e.key = s.key AND e.content = s.content
CROSS JOIN LATERAL generate_series(e.times + 1, s.rows)
UNION ALL
SELECT s.kind, 'unexpected', s.key, s.content, NULL
FROM s
LEFT JOIN e ON e.kind = s.kind AND e.key = s.key AND e.content = s.content
LEFT JOIN expected_keys k ON k.kind = s.kind AND k.key = s.key
WHERE e.key IS NULL
  -- A transaction in progress, and uncertain answers, have no fact of their own.
  AND s.kind NOT IN ('transactions', 'transaction_starts', 'authorization_results')
