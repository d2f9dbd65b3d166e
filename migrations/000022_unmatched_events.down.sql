DROP VIEW unmatched_events;
