-- Layouts whose id is already stored with another text. A separate statement, after the one that
-- stores them, so that it sees what another worker has stored meanwhile.
SELECT l.layout_id, l.layout
FROM {unnest:meter_value_layouts}
JOIN meter_value_layouts l ON l.layout_id = x.layout_id
WHERE l.layout <> x.layout
