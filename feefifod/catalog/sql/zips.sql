-- name: register
-- A zip gets its row; a row whose zip has changed meanwhile starts anew, unless a living owner has it.
INSERT INTO file (path, name, device, inode, size, mtime_ns, ctime_ns, ticker, category, quote, interval_minutes, is_zip)
VALUES ($1, $2, $3, $4, $5, $6, $7, '', '', '', 0, true)
ON CONFLICT (path) WHERE state IN ('waiting', 'loading', 'moving') DO UPDATE SET
    device = excluded.device, inode = excluded.inode, size = excluded.size,
    mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,
    state = 'waiting', sha256 = NULL, members = NULL, reason = '', owner = NULL, lease_until = NULL, seen_at = now()
WHERE (file.device, file.inode, file.size, file.mtime_ns, file.ctime_ns)
        <> (excluded.device, excluded.inode, excluded.size, excluded.mtime_ns, excluded.ctime_ns)
    AND (file.state = 'waiting' OR (file.state = 'loading' AND file.lease_until < now()))

-- name: claim
UPDATE file SET state = 'loading', owner = $2, fence = nextval('fence'), lease_until = now() + $3::interval,
    attempts = attempts + 1, table_id = NULL
WHERE path = $1 AND is_zip AND (state = 'waiting' OR (state = 'loading' AND lease_until < now()))
RETURNING id, fence, sha256

-- name: renew
UPDATE file SET lease_until = now() + $3::interval WHERE id = $1 AND fence = $2 AND state = 'loading'

-- name: record_hash
UPDATE file SET sha256 = $3 WHERE id = $1 AND fence = $2

-- name: known_content
SELECT EXISTS (
    SELECT 1 FROM file WHERE is_zip AND sha256 = $2 AND id <> $1 AND ending = 'done' AND table_id = $3
)

-- name: twin
-- The zip of the same content that came first and is not finished.
SELECT name FROM file
WHERE is_zip AND sha256 = $2 AND id < $1 AND state IN ('waiting', 'loading', 'moving')
ORDER BY id LIMIT 1

-- name: members
-- One row of each member: a finished one if there is any, for a later one then only stands for a copy that is gone.
-- What was loaded into another table does not count.
SELECT DISTINCT ON (member) member, state, state = 'moving' OR (state = 'loading' AND lease_until > now()) AS busy,
    rows_accepted + rows_rejected AS rows,
    CASE WHEN state = 'duplicate' THEN (
        SELECT max(k.rows_accepted + k.rows_rejected) FROM file k WHERE k.sha256 = file.sha256 AND k.ending = 'done'
    ) END AS twin_rows
FROM file
WHERE zip_sha256 = $1
    AND (state IN ('waiting', 'loading', 'moving', 'rejected', 'empty') OR $2::text IS NULL OR table_id = $2)
ORDER BY member, state IN ('waiting', 'loading', 'moving'), id DESC

-- name: leave
UPDATE file SET state = 'waiting', owner = NULL, lease_until = NULL, reason = $3, members = coalesce($4, members)
WHERE id = $1 AND fence = $2 AND state = 'loading'

-- name: mark_ending
UPDATE file SET state = 'moving', ending = $3, reason = $4, table_id = $5, members = coalesce($6, members),
    loaded_at = CASE WHEN $3 = 'done' THEN now() END
WHERE id = $1 AND fence = $2 AND state = 'loading'

-- name: name_of
SELECT name FROM file WHERE is_zip AND sha256 = $1 ORDER BY id DESC LIMIT 1

-- name: unfinished_hashes
SELECT DISTINCT sha256 FROM file WHERE is_zip AND sha256 IS NOT NULL AND state IN ('waiting', 'loading', 'moving')

-- name: unfinished
SELECT id, path, name, state, members, sha256, reason FROM file
WHERE is_zip AND state IN ('waiting', 'loading', 'moving')
ORDER BY path

-- name: busy_copies
-- Members that are loaded or moved at this moment: they do not lie in the data folder.
SELECT count(*) FROM file WHERE zip_sha256 IS NOT NULL AND state IN ('loading', 'moving')
