-- Rows that wait there would be in no table that is read. Nobody begins to load meanwhile.
LOCK TABLE loading_partitions IN ACCESS EXCLUSIVE MODE;
DO $$
DECLARE
    name text;
BEGIN
    SELECT p.table_name INTO name FROM loading_partitions p LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'rows of a replay wait in table "%"', name
            USING HINT = 'run the replay again until it is over, then go down';
    END IF;
END $$;
DROP FUNCTION finish_loading(text);
DROP FUNCTION move_loaded(text);
DROP FUNCTION attach_loaded(text);
DROP FUNCTION index_loaded(text);
DROP FUNCTION drop_repeated(text);
DROP FUNCTION end_loading(text);
DROP FUNCTION load_partition(text, timestamptz);
DROP FUNCTION may_load(text);
DROP FUNCTION check_no_table(text, text);
DROP FUNCTION forbid_loading();
DROP FUNCTION loading_lock_is_held(integer, text, integer);
DROP FUNCTION loading_lock_class();
DROP TABLE loading_partitions;
