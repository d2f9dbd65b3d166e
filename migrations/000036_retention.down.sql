-- Tables that were retired and not dropped yet stay as they are: ordinary tables.
DROP FUNCTION drop_retired(text);
DROP FUNCTION retire_partition(text, text);
DROP FUNCTION partition_list();
