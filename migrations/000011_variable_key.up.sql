-- The name under which the store keeps a variable of OCPP 2.x: Component/Variable, as MaEVE names
-- them; instances in brackets, the EVSE behind an @, an attribute other than Actual behind a colon:
-- Connector@1.2/Available, Controller[a]/Variable[b]:Target.
CREATE FUNCTION variable_key(v jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (v #>> '{component,name}')
        || coalesce('[' || (v #>> '{component,instance}') || ']', '')
        || coalesce('@' || (v #>> '{component,evse,id}')
            || coalesce('.' || (v #>> '{component,evse,connectorId}'), ''), '')
        || '/' || (v #>> '{variable,name}')
        || coalesce('[' || (v #>> '{variable,instance}') || ']', '')
        || coalesce(':' || nullif(v ->> 'attributeType', 'Actual'), '')
$$;
COMMENT ON FUNCTION variable_key IS 'The key among the settings of a station of a variable in SetVariables, GetVariables and their answers; NULL if it names none';
