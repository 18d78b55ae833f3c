-- name: read_done
-- Files whose rows the table holds, members of zips with the place of their zip. A file that was loaded again later
-- (by itself, or another one in its place in the archive) is left out: what came in last is what counts.
SELECT f.*, z.place AS zip_place
FROM file f
LEFT JOIN LATERAL (
    SELECT coalesce(moved_to, path) AS place FROM file
    WHERE is_zip AND sha256 = f.zip_sha256
    ORDER BY moved_to IS NULL, id DESC LIMIT 1
) z ON f.zip_sha256 IS NOT NULL
WHERE f.state = 'done' AND NOT f.is_zip AND f.table_id = $1 AND f.archived <> 'pruned'
    AND NOT EXISTS (
        SELECT 1 FROM file later
        WHERE later.moved_to = f.moved_to AND later.state = 'done' AND later.table_id = $1
            AND (later.loaded_at, later.id) > (f.loaded_at, f.id)
    )
    AND NOT EXISTS (
        SELECT 1 FROM file later
        WHERE later.sha256 = f.sha256 AND later.state = 'done' AND later.table_id = $1
            AND (later.ticker, later.category, later.quote, later.interval_minutes)
                = (f.ticker, f.category, f.quote, f.interval_minutes)
            AND (later.loaded_at, later.id) > (f.loaded_at, f.id)
    )
ORDER BY f.loaded_at, f.id

-- name: count_done
-- Files that were loaded into any table.
SELECT count(*) FROM file WHERE state = 'done' AND NOT is_zip

-- name: read_pruned
-- Files that were removed from the archive after their rows had been proven.
SELECT * FROM file WHERE state = 'done' AND NOT is_zip AND table_id = $1 AND archived = 'pruned' ORDER BY id

-- name: read_fingerprints
-- What stands for the pruned files of some series.
SELECT p.* FROM pruned_series p
JOIN unnest($2::text[], $3::text[], $4::text[], $5::integer[]) AS t (ticker, category, quote, interval_minutes)
    USING (ticker, category, quote, interval_minutes)
WHERE p.table_id = $1

-- name: read_busy
-- Series of which rows may be in the table that no finished file speaks for yet.
SELECT ticker, category, quote, interval_minutes, min(name) AS name
FROM file
WHERE ticker <> '' AND (state IN ('loading', 'moving') OR state = 'waiting' AND (attempts > 0 OR overwrite))
GROUP BY ticker, category, quote, interval_minutes

-- name: note
UPDATE file SET reason = CASE WHEN reason = '' THEN $2 ELSE reason || '; ' || $2 END
WHERE id = ANY($1::bigint[])

-- name: is_known
-- Whether the table holds the content of a file, for its series.
SELECT EXISTS (
    SELECT 1 FROM file
    WHERE sha256 = $1 AND ending = 'done' AND table_id = $2
        AND (ticker, category, quote, interval_minutes) = ($3, $4, $5, $6)
)

-- name: read_rejected
SELECT name, reason, rows_rejected, moved_to, finished_at
FROM file
WHERE state = 'rejected' AND moved_to IS NOT NULL
ORDER BY id
