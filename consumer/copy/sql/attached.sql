-- Fails if somebody detached one of these partitions since we looked. Sent after the COPYs into
-- them, whose locks keep the others attached until we commit.
SELECT check_attached($1::text[])
