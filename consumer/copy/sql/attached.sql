-- Fails if somebody has detached one of these partitions since we checked. Sent after the COPYs
-- into them, whose locks keep the others attached until we commit.
SELECT check_attached($1::text[])
