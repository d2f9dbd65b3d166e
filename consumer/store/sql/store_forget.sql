-- Rows that only remember that something was deleted, a while ago.
SELECT store_forget($1::timestamptz)
