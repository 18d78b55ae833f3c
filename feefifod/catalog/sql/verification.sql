-- name: read_done
-- Files whose rows the table holds, members of zips with the place of their zip. Of files that lay under one name of
-- the archive one after the other, only the last has its content there.
SELECT DISTINCT ON (coalesce(f.moved_to, f.id::text::bytea)) f.*, z.place AS zip_place
FROM file f
LEFT JOIN LATERAL (
    SELECT coalesce(moved_to, path) AS place FROM file
    WHERE is_zip AND sha256 = f.zip_sha256
    ORDER BY moved_to IS NULL, id DESC LIMIT 1
) z ON f.zip_sha256 IS NOT NULL
WHERE f.state = 'done' AND NOT f.is_zip AND f.table_id = $1
ORDER BY coalesce(f.moved_to, f.id::text::bytea), f.loaded_at DESC, f.id DESC

-- name: read_busy
-- Series of which rows may be in the table that no finished file speaks for yet.
SELECT ticker, category, quote, interval_minutes, min(name) AS name
FROM file
WHERE ticker <> '' AND (state IN ('loading', 'moving') OR state = 'waiting' AND (attempts > 0 OR overwrite))
GROUP BY ticker, category, quote, interval_minutes

-- name: note
UPDATE file SET reason = CASE WHEN reason = '' THEN $2 ELSE reason || '; ' || $2 END
WHERE id = ANY($1::bigint[])

-- name: read_rejected
SELECT name, state, reason, rows_rejected, moved_to, finished_at
FROM file
WHERE moved_to IS NOT NULL AND (state = 'rejected' OR state = 'done' AND rows_rejected > 0)
ORDER BY id
