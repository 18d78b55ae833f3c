-- name: settle_replaced
-- A decided file that was overwritten before we could move it: the new content is a new drop.
UPDATE file f SET state = ending, finished_at = now(), owner = NULL, lease_until = NULL,
    reason = 'replaced in the data folder before it was moved'
FROM unnest($1::bytea[], $2::numeric[], $3::bigint[], $4::bigint[]) AS d (path, inode, size, mtime_ns)
WHERE f.path = d.path AND f.state = 'moving' AND (f.owner IS NULL OR f.lease_until < now())
    AND (f.inode, f.size, f.mtime_ns) <> (d.inode, d.size, d.mtime_ns)

-- name: register
-- A drop gets its row; a row whose file has changed meanwhile starts anew, unless a living owner has it.
-- So does one that was taken for a scratch copy by its path, as earlier versions did.
INSERT INTO file (path, name, device, inode, size, mtime_ns, ctime_ns, ticker, category, quote, interval_minutes,
    zip_sha256, member, wrapping)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::numeric[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::text[], $9::text[], $10::text[], $11::integer[], $12::bytea[], $13::text[], $14::text[])
ON CONFLICT (path) WHERE state IN ('waiting', 'loading', 'moving') DO UPDATE SET
    device = excluded.device, inode = excluded.inode, size = excluded.size,
    mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,
    zip_sha256 = excluded.zip_sha256, member = excluded.member, wrapping = excluded.wrapping,
    state = 'waiting', sha256 = NULL, irregular = false, batch_id = NULL, owner = NULL, lease_until = NULL,
    seen_at = now()
WHERE (file.device, file.inode, file.size, file.mtime_ns, file.ctime_ns, file.zip_sha256, file.wrapping)
        IS DISTINCT FROM (excluded.device, excluded.inode, excluded.size, excluded.mtime_ns, excluded.ctime_ns,
            excluded.zip_sha256, excluded.wrapping)
    AND (file.state = 'waiting' OR (file.state = 'loading' AND file.lease_until < now()))

-- name: owners
SELECT DISTINCT owner FROM file WHERE owner IS NOT NULL AND state IN ('loading', 'moving')

-- name: free
UPDATE file SET lease_until = '-infinity' WHERE owner = ANY($1::text[]) AND state IN ('loading', 'moving')

-- name: lock_claims
-- Claims are few and short; one at a time makes "one owner for a series" free of races.
SELECT pg_advisory_xact_lock(hashtextextended('feefifod.claim', 0))

-- name: new_fence
SELECT nextval('fence')

-- name: new_batch
INSERT INTO batch (fence, table_id) VALUES ($1, $2) RETURNING id

-- name: orphans
-- Batches with files whose owner is gone.
SELECT DISTINCT batch_id FROM file
WHERE state = 'loading' AND NOT is_zip AND lease_until < now() ORDER BY batch_id

-- name: release_strays
-- Files of an orphaned batch that the caller does not want, or that are gone, go back to waiting.
UPDATE file SET state = 'waiting', batch_id = NULL, owner = NULL, lease_until = NULL
WHERE batch_id = $1 AND state = 'loading' AND lease_until < now() AND NOT path = ANY($2::bytea[])

-- name: take_over
UPDATE file SET owner = $2, fence = $3, lease_until = now() + $4::interval, attempts = attempts + 1
WHERE batch_id = $1 AND state = 'loading' AND lease_until < now() AND path = ANY($5::bytea[])
RETURNING *

-- name: take_over_batch
-- A checkpoint says what is in the table it was made for, and nothing about another one.
UPDATE batch SET fence = $2, table_id = $3,
    checkpoint_seconds = CASE WHEN table_id = $3 THEN checkpoint_seconds END,
    merged = CASE WHEN table_id = $3 THEN merged ELSE '{}' END
WHERE id = $1
RETURNING *

-- name: claim
UPDATE file SET state = 'loading', batch_id = $1, owner = $2, fence = $3, lease_until = now() + $4::interval,
    attempts = attempts + 1, table_id = NULL, reason = ''
WHERE id IN (
    SELECT f.id FROM file f
    WHERE f.state = 'waiting' AND f.path = ANY($5::bytea[])
        AND NOT EXISTS (
            SELECT 1 FROM file o
            WHERE o.state = 'loading'
                AND (o.ticker, o.category, o.quote, o.interval_minutes)
                    = (f.ticker, f.category, f.quote, f.interval_minutes)
        )
    ORDER BY f.seen_at, f.id
    FOR UPDATE SKIP LOCKED
)
RETURNING *

-- name: drop_batch
DELETE FROM batch WHERE id = $1

-- name: renew
UPDATE file SET lease_until = now() + $3::interval
WHERE batch_id = $1 AND fence = $2 AND state IN ('loading', 'moving')

-- name: record_hashes
UPDATE file f SET sha256 = d.sha256
FROM unnest($3::bigint[], $4::bytea[]) AS d (id, sha256)
WHERE f.id = d.id AND f.batch_id = $1 AND f.fence = $2

-- name: known_content
-- Content that the present table already holds, of the same series.
SELECT DISTINCT d.id FROM unnest($1::bigint[]) AS d (id)
JOIN file f ON f.id = d.id AND NOT f.overwrite
JOIN file k ON k.sha256 = f.sha256 AND k.id <> f.id AND k.ending = 'done' AND k.table_id = $2
    AND (k.ticker, k.category, k.quote, k.interval_minutes) = (f.ticker, f.category, f.quote, f.interval_minutes)

-- name: find_overlaps
-- Files of the batch whose series has other rows in the table within their range of time, and that do not overwrite.
SELECT DISTINCT d.id FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS d (id, first, last)
JOIN file f ON f.id = d.id AND NOT f.overwrite
JOIN file k ON k.id <> f.id AND k.ending = 'done' AND k.table_id = $4
    AND (k.ticker, k.category, k.quote, k.interval_minutes) = (f.ticker, f.category, f.quote, f.interval_minutes)
    AND k.first_seconds <= d.last AND k.last_seconds >= d.first

-- name: request_overwrite
UPDATE file SET overwrite = true WHERE path = ANY($1::bytea[]) AND state = 'waiting'

-- name: release
UPDATE file SET state = 'waiting', batch_id = NULL, owner = NULL, lease_until = NULL, reason = $4
WHERE batch_id = $1 AND fence = $2 AND id = ANY($3::bigint[]) AND state = 'loading'

-- name: mark_irregular
UPDATE file SET irregular = true WHERE batch_id = $1 AND fence = $2 AND id = ANY($3::bigint[])

-- name: checkpoint
UPDATE batch SET checkpoint_seconds = $3, merged = $4::jsonb, lane = $5 WHERE id = $1 AND fence = $2

-- name: mark_loaded
UPDATE file f SET state = 'moving', ending = 'done', table_id = $3, loaded_at = now(), rows_accepted = d.accepted,
    rows_rejected = d.rejected, rows_odd = d.odd, first_seconds = d.first, last_seconds = d.last
FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
    AS d (id, accepted, rejected, odd, first, last)
WHERE f.id = d.id AND f.batch_id = $1 AND f.fence = $2 AND f.state = 'loading'

-- name: mark_ending
UPDATE file f SET state = 'moving', ending = d.ending, reason = d.reason, rows_rejected = d.rejected, table_id = $3
FROM unnest($4::bigint[], $5::text[], $6::text[], $7::bigint[]) AS d (id, ending, reason, rejected)
WHERE f.id = d.id AND f.batch_id = $1 AND f.fence = $2 AND f.state = 'loading'

-- name: finish
UPDATE file f SET state = f.ending, moved_to = d.moved_to, finished_at = now(), owner = NULL, lease_until = NULL,
    reason = CASE WHEN d.reason = '' THEN f.reason ELSE d.reason END
FROM unnest($2::bigint[], $3::bytea[], $4::text[]) AS d (id, moved_to, reason)
WHERE f.id = d.id AND f.fence = $1 AND f.state = 'moving'

-- name: adopt_unmoved
-- Decided files that still have to be moved and have no living owner.
UPDATE file SET owner = $1, fence = $2, lease_until = now() + $3::interval
WHERE id IN (
    SELECT id FROM file WHERE state = 'moving' AND (owner IS NULL OR lease_until < now())
    ORDER BY id FOR UPDATE SKIP LOCKED
)
RETURNING *

-- name: list_unmoved
SELECT name, rows_accepted FROM file WHERE state = 'moving' AND (owner IS NULL OR lease_until < now()) ORDER BY id

-- name: refuse
-- Files whose very name is refused: what becomes of them is decided at once.
INSERT INTO file (path, name, device, inode, size, mtime_ns, ctime_ns, ticker, category, quote, interval_minutes,
    state, ending, reason, zip_sha256, member)
SELECT path, name, device, inode, size, mtime_ns, ctime_ns, '', '', '', 0,
    'moving', 'rejected', reason, zip_sha256, member
FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::numeric[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::text[], $9::bytea[], $10::text[])
    AS d (path, name, device, inode, size, mtime_ns, ctime_ns, reason, zip_sha256, member)
ON CONFLICT (path) WHERE state IN ('waiting', 'loading', 'moving') DO NOTHING

-- name: let_go
UPDATE file SET lease_until = '-infinity' WHERE fence = $1 AND state IN ('loading', 'moving')

-- name: finish_batch
UPDATE batch SET finished_at = now() WHERE id = $1 AND fence = $2

-- name: waiting_paths
SELECT id, path FROM file WHERE state = 'waiting'

-- name: forget
DELETE FROM file WHERE id = ANY($1::bigint[]) AND state = 'waiting'

-- name: forget_paths
DELETE FROM file WHERE path = ANY($1::bytea[]) AND state = 'waiting'

-- name: bind_table
INSERT INTO target (database, table_id) VALUES ($1, $2)
ON CONFLICT (database) DO UPDATE SET table_id = excluded.table_id, seen_at = now()

-- name: bound_table
SELECT table_id FROM target WHERE database = $1

-- name: count_states
SELECT state, count(*) AS files, coalesce(sum(rows_accepted), 0)::bigint AS accepted,
    coalesce(sum(rows_rejected), 0)::bigint AS rejected
FROM file
WHERE table_id IS NULL OR $1::text IS NULL OR table_id = $1
GROUP BY state

-- name: find_path
SELECT * FROM file WHERE path = $1 ORDER BY id DESC LIMIT 1

-- name: find_series
SELECT * FROM file
WHERE (ticker, category, quote, interval_minutes) = ($1, $2, $3, $4)
ORDER BY id DESC LIMIT 20
