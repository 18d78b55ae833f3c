-- name: find_unfinished
-- By name and server: between two renames there is no table of that name that could be asked for its identity.
SELECT *, lease_until > now() AS held FROM table_copy
WHERE table_name = $1 AND state IN ('copying', 'swapping', 'bound')
ORDER BY id DESC

-- name: begin
INSERT INTO table_copy (table_name, from_id, partition_by, owner, fence, lease_until)
VALUES ($1, $2, $3, $4, nextval('fence'), now() + $5::interval)
RETURNING *, true AS held

-- name: take_over
UPDATE table_copy SET owner = $2, fence = nextval('fence'), lease_until = now() + $3::interval
WHERE id = $1 AND lease_until <= now() AND state IN ('copying', 'swapping', 'bound')
RETURNING *, true AS held

-- name: renew
UPDATE table_copy SET lease_until = now() + $3::interval WHERE id = $1 AND fence = $2 AND lease_until > now()

-- name: let_go
UPDATE table_copy SET lease_until = '-infinity' WHERE id = $1 AND fence = $2

-- name: read_users
-- Who works on the table still. Of a zip it is not recorded which table its members go to.
SELECT f.owner, 'batch ' || b.id AS purpose FROM file f JOIN batch b ON b.id = f.batch_id
WHERE f.state = 'loading' AND f.lease_until > now() AND b.table_id = $1
UNION
SELECT owner, 'zip ' || name FROM file WHERE is_zip AND state = 'loading' AND lease_until > now()
UNION
SELECT owner, purpose FROM table_use WHERE table_id = $1 AND lease_until > now()

-- name: aim
UPDATE table_copy SET to_id = $3, partition_by = $4 WHERE id = $1 AND fence = $2 AND state = 'copying' AND lease_until > now()

-- name: begin_swap
UPDATE table_copy SET state = 'swapping', sequenced = $3
WHERE id = $1 AND fence = $2 AND state IN ('copying', 'swapping') AND to_id IS NOT NULL AND lease_until > now()

-- name: undo_swap
UPDATE table_copy SET state = 'copying', sequenced = NULL WHERE id = $1 AND fence = $2 AND state IN ('swapping', 'copying')

-- name: lock_state
SELECT state FROM table_copy WHERE id = $1 AND fence = $2 FOR UPDATE

-- name: mark_bound
UPDATE table_copy SET state = 'bound' WHERE id = $1

-- name: succeeds
WITH RECURSIVE later (id) AS (
    SELECT $1::text
    UNION
    SELECT c.to_id FROM table_copy c JOIN later ON c.from_id = later.id WHERE c.state IN ('bound', 'done')
)
SELECT EXISTS (SELECT 1 FROM later WHERE id = $2)

-- name: finish
UPDATE table_copy SET state = $3, finished_at = now(), lease_until = '-infinity' WHERE id = $1 AND fence = $2

-- name: bind_files
UPDATE file SET table_id = $2 WHERE table_id = $1

-- name: bind_batches
-- What a checkpoint says of the table is true of its copy.
UPDATE batch SET table_id = $2 WHERE table_id = $1

-- name: bind_targets
UPDATE target SET table_id = $2, seen_at = now() WHERE table_id = $1

-- name: bind_fingerprints
UPDATE pruned_series SET table_id = $2 WHERE table_id = $1

-- name: bind_retention
UPDATE retention_day SET table_id = $2 WHERE table_id = $1

-- name: forget_retention
DELETE FROM retention_day WHERE table_id = $1

-- name: forget_mark
DELETE FROM mark WHERE table_id = $1

-- name: bind_mark
-- The copy counts its own transactions, from few.
UPDATE mark SET table_id = $2, sequenced = 0 WHERE table_id = $1
