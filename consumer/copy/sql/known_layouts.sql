-- The newest layouts and who brought them, so that they need not be stored again.
SELECT layout_id, first_charge_station_id
FROM meter_value_layouts
ORDER BY created_at DESC
LIMIT 20000
