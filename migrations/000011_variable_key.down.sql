DROP FUNCTION variable_key(jsonb);
