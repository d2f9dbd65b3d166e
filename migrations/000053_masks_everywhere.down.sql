-- The function stays as it is: the ways back of earlier migrations need it, and it does the same in
-- schemas of other names.
SELECT 1;
