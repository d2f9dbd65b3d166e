DROP VIEW all_runtime;
