DO $migration$
DECLARE
    before text := pg_get_functiondef('compute_energy(timestamptz,text[],integer[])'::regprocedure);
    after text := before;
    part record;
BEGIN
    FOR part IN SELECT * FROM (VALUES
($old$                p.phase, p.value * CASE u.unit WHEN 'kWh' THEN 1000 WHEN 'MWh' THEN 1000000 ELSE 1 END
                    * CASE WHEN u.multiplier <> 0 THEN ('1e' || u.multiplier)::numeric ELSE 1 END AS wh
$old$, $new$                p.phase, p.value * CASE p.unit WHEN 'kWh' THEN 1000 WHEN 'MWh' THEN 1000000 ELSE 1 END
                    * CASE WHEN p.multiplier <> 0 THEN ('1e' || p.multiplier)::numeric ELSE 1 END AS wh
$new$),
($old$                AS p (value, measurand, phase, location, unit, multiplier, position)
            CROSS JOIN LATERAL (
                SELECT v.raw #> ARRAY['sample', p.position::text] AS rest
            ) r
            CROSS JOIN LATERAL (
                SELECT sample_unit(r.rest, p.unit) AS unit,
                    sample_multiplier(r.rest, p.multiplier) AS multiplier
            ) u
$old$, $new$                AS p (value, measurand, phase, location, unit, multiplier, position)
$new$),
($old$              AND (u.unit IS NULL OR u.unit IN ('Wh', 'kWh', 'MWh'))
              AND NOT sample_is_unclear(r.rest, u.unit, u.multiplier)
$old$, $new$              AND (p.unit IS NULL OR p.unit IN ('Wh', 'kWh', 'MWh'))
$new$),
($old$              AND (u.multiplier IS NULL OR u.multiplier BETWEEN -15 AND 15)
$old$, $new$              AND (p.multiplier IS NULL OR p.multiplier BETWEEN -15 AND 15)
$new$)
    ) AS p (old, new) LOOP
        IF position(part.old IN after) = 0 THEN
            RAISE EXCEPTION 'compute_energy() is not as migration 49 made it';
        END IF;
        after := replace(after, part.old, part.new);
    END LOOP;
    EXECUTE after;
END $migration$;
