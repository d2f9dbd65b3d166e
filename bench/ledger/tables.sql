-- The ledger as it is: a line of JSON each.
CREATE TEMPORARY TABLE ledger (line jsonb NOT NULL)
