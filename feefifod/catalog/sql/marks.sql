-- name: read
SELECT well_at, started_us, sequenced, checked_at, outcome FROM mark WHERE table_id = $1

-- name: begin
-- Of a table that no daemon has looked at before, only the last files are in doubt.
INSERT INTO mark (table_id, well_at, started_us, sequenced)
SELECT $1, coalesce((SELECT max(loaded_at) FROM file WHERE table_id = $1), now()), 0, 0
ON CONFLICT (table_id) DO UPDATE SET table_id = excluded.table_id
RETURNING well_at, started_us, sequenced, checked_at, outcome

-- name: see_well
-- Whoever has not checked it must not take back a doubt of another process.
UPDATE mark SET well_at = now(), started_us = $2, sequenced = $3
WHERE table_id = $1 AND (started_us = $2 OR $4)

-- name: doubt
-- Rows of this batch may have come too late, over those of files that came in meanwhile.
-- Like a mark of another start of QuestDB, one of none makes the next daemon check, should this one end before it can.
UPDATE mark SET well_at = least(well_at, b.started_at), started_us = 0 FROM batch b WHERE b.id = $2 AND mark.table_id = $1

-- name: distrust
UPDATE mark SET well_at = 'epoch', started_us = 0, sequenced = $2 WHERE table_id = $1

-- name: record
UPDATE mark SET checked_at = now(), outcome = $2::jsonb WHERE table_id = $1
