-- name: read_done
-- Files whose rows the table holds, in the order in which they came in. Of files that lay under one name of the
-- archive one after the other, only the last has its content there.
SELECT DISTINCT ON (coalesce(moved_to, id::text::bytea)) *
FROM file
WHERE ending = 'done' AND state = 'done' AND table_id = $1
ORDER BY coalesce(moved_to, id::text::bytea), loaded_at DESC, id DESC

-- name: read_busy
-- Series of which rows may be in the table that no finished file speaks for yet.
SELECT ticker, category, quote, interval_minutes, min(name) AS name
FROM file
WHERE state IN ('loading', 'moving') AND ticker <> '' OR state = 'waiting' AND attempts > 0
GROUP BY ticker, category, quote, interval_minutes

-- name: note
UPDATE file SET reason = CASE WHEN reason = '' THEN $2 ELSE reason || '; ' || $2 END
WHERE id = ANY($1::bigint[])

-- name: read_rejected
SELECT name, state, reason, rows_rejected, moved_to, finished_at
FROM file
WHERE moved_to IS NOT NULL AND (state = 'rejected' OR state = 'done' AND rows_rejected > 0)
ORDER BY id
