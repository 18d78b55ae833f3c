-- name: claim_day
INSERT INTO retention_day AS r (table_id, begun_at) VALUES ($1, now())
ON CONFLICT (table_id) DO UPDATE SET begun_at = now() WHERE r.begun_at < now() - interval '23 hours'
RETURNING begun_at

-- name: read_due
-- Finished files that lie in the archive as they were loaded, for so many days. A duplicate is as old as its own drop.
SELECT id, name, moved_to, is_zip, state, sha256, size, table_id, finished_at, ticker, category, quote, interval_minutes,
    wrapping
FROM file
WHERE state IN ('done', 'duplicate') AND archived = '' AND moved_to IS NOT NULL AND sha256 IS NOT NULL
    AND finished_at < now() - $1::interval
ORDER BY id

-- name: read_packed
-- Those that were packed earlier, which only pruning still concerns.
SELECT id, name, moved_to, is_zip, state, sha256, size, table_id, finished_at, ticker, category, quote, interval_minutes,
    wrapping
FROM file
WHERE state IN ('done', 'duplicate') AND archived = 'compressed' AND moved_to IS NOT NULL
    AND finished_at < now() - $1::interval
ORDER BY id

-- name: count_at
-- How many rows say that their file lies here.
SELECT count(*) FROM file WHERE moved_to = $1

-- name: record_packed
UPDATE file SET archived = 'compressed', archived_at = now(), moved_to = $3, leftover = $2
WHERE id = $1 AND archived = '' AND moved_to = $2

-- name: lock_unpruned
SELECT id FROM file WHERE id = ANY($1::bigint[]) AND archived <> 'pruned' ORDER BY id FOR UPDATE

-- name: record_pruned
-- Rows that lie in the archive lose their place there; members of zips have none of their own.
UPDATE file SET archived = 'pruned', archived_at = now(), leftover = moved_to, moved_to = NULL
WHERE id = ANY($1::bigint[])

-- name: write_months
INSERT INTO pruned_series AS p (table_id, ticker, category, quote, interval_minutes, months)
VALUES ($1, $2, $3, $4, $5, $6::jsonb)
ON CONFLICT (table_id, ticker, category, quote, interval_minutes) DO UPDATE SET months = p.months || excluded.months

-- name: read_leftovers
SELECT id, leftover, sha256, is_zip FROM file WHERE leftover IS NOT NULL ORDER BY id

-- name: clear_leftover
UPDATE file SET leftover = NULL WHERE id = $1

-- name: count_copies
-- Zips of one content that lie in the archive.
SELECT count(*) FROM file WHERE is_zip AND sha256 = $1 AND moved_to IS NOT NULL

-- name: read_members
-- The series of a zip's members that the present table holds, loaded from this zip or from another file.
SELECT DISTINCT ticker, category, quote, interval_minutes FROM file
WHERE zip_sha256 = $1 AND state IN ('done', 'duplicate') AND table_id = $2
