-- name: find_copy
-- The copy that forbids the use of a table: it is under way, or the names are being changed, or the table was replaced
-- by its copy since its identity was read.
SELECT * FROM table_copy c
WHERE (state = 'copying' AND from_id = $1 AND lease_until > now())
    OR (state = 'swapping' AND $1 IN (from_id, to_id))
    OR (state IN ('bound', 'done') AND from_id = $1 AND NOT EXISTS (SELECT 1 FROM target WHERE table_id = $1))
ORDER BY id DESC LIMIT 1

-- name: owners
SELECT DISTINCT owner FROM table_copy WHERE state IN ('copying', 'swapping', 'bound') AND lease_until > now()
UNION
SELECT DISTINCT owner FROM table_use WHERE lease_until > now()

-- name: free_copies
UPDATE table_copy SET lease_until = '-infinity' WHERE owner = ANY($1::text[]) AND state IN ('copying', 'swapping', 'bound')

-- name: free_uses
DELETE FROM table_use WHERE owner = ANY($1::text[]) OR lease_until < now() - interval '1 day'

-- name: use
INSERT INTO table_use (fence, table_id, purpose, owner, lease_until)
VALUES (nextval('fence'), $1, $2, $3, now() + $4::interval)
RETURNING fence

-- name: renew_use
UPDATE table_use SET lease_until = now() + $2::interval WHERE fence = $1 AND lease_until > now()

-- name: end_use
DELETE FROM table_use WHERE fence = $1
