-- Messages to the store. Of two for the same key, the newest counts; of a set and a delete with the
-- same time, the delete; and of two sets with the same time, the one that sorts last: so the order
-- in which they come does not matter. Returns the numbers of those that changed something, counted
-- from 0.
WITH sent AS MATERIALIZED (
    SELECT DISTINCT ON ({x_keys}) x.*
    FROM {unnest}
    ORDER BY {x_keys}, x.last_updated DESC, x.deleted DESC, ROW({x_columns})::text COLLATE "C" DESC,
        x.n
), kept AS (
    INSERT INTO {target} AS t ({columns})
    SELECT {x_columns} FROM sent x
    ORDER BY {x_keys}
    ON CONFLICT ({keys}) DO UPDATE
    SET {excluded}, updated_at = now()
    WHERE (excluded.last_updated, excluded.deleted) > (t.last_updated, t.deleted)
       OR ((excluded.last_updated, excluded.deleted) = (t.last_updated, t.deleted)
           AND NOT t.deleted
           AND ROW({excluded_columns})::text COLLATE "C" > ROW({t_columns})::text COLLATE "C")
    RETURNING {keys}
)
-- IS TRUE keeps the planner from turning it into a join, which would compare each with each.
SELECT (x.n - 1)::integer FROM sent x WHERE (({x_keys}) IN (SELECT {keys} FROM kept)) IS TRUE
