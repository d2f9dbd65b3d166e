-- Comments do no harm: they stay.
SELECT 1;
