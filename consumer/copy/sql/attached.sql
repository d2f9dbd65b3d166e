-- Fails if somebody detached one of these partitions since we looked. Asked behind the COPYs into
-- them, whose locks keep the others what they are until we commit.
SELECT check_attached($1::text[])
