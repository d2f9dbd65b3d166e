DROP TRIGGER layouts_stay ON meter_value_layouts;
DROP FUNCTION refuse_layout_change();
COMMENT ON TABLE meter_value_layouts IS 'What the positions of meter_values.sampled measure. A station sends the same set of samples every time, so the set is stored once. The id is the digest of the set: it is the same in every worker and every database.';
