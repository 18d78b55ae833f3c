-- name: start_run
INSERT INTO backfill_run (source, schedule, due_at, asked, adjusted, owner)
VALUES ($1, $2, $3, $4::jsonb, $5, $6)
RETURNING id

-- name: unfinished_owners
SELECT DISTINCT owner FROM backfill_run WHERE outcome IS NULL

-- name: interrupt_runs
UPDATE backfill_run SET outcome = 'interrupted', finished_at = now(),
    reason = 'the process ended in the middle of it; the next run goes on'
WHERE outcome IS NULL AND owner = ANY($1::text[])

-- name: report_run
UPDATE backfill_run SET assets = $2, assets_failed = $3, calls_planned = $4, calls_done = $5,
    created = $6, updated = $7, unchanged = $8, no_trades = $9
WHERE id = $1

-- name: finish_run
UPDATE backfill_run SET outcome = $2, reason = $3, finished_at = now() WHERE id = $1

-- name: last_runs
-- The newest run of each schedule.
SELECT DISTINCT ON (schedule) * FROM backfill_run
WHERE schedule = ANY($1::text[])
ORDER BY schedule, id DESC

-- name: record_no_trades
INSERT INTO no_trades (source, asset_id, symbol, session)
SELECT $1, * FROM unnest($2::integer[], $3::text[], $4::date[])
ON CONFLICT DO NOTHING

-- name: read_no_trades
SELECT asset_id, symbol, session FROM no_trades
WHERE source = $1 AND asset_id = ANY($2::integer[]) AND session BETWEEN $3 AND $4

-- name: begin_basis
INSERT INTO split_basis (source, asset_id, pulled_on, checked_on)
SELECT $1, asset_id, $3, $3 FROM unnest($2::integer[]) AS t (asset_id)
ON CONFLICT DO NOTHING

-- name: read_bases
SELECT * FROM split_basis WHERE source = $1 AND asset_id = ANY($2::integer[])

-- name: move_basis
-- All candles of these assets were pulled again.
UPDATE split_basis SET pulled_on = $3, checked_on = $3 WHERE source = $1 AND asset_id = ANY($2::integer[])

-- name: check_basis
-- Splits were looked for, and these assets had none.
UPDATE split_basis SET checked_on = $3 WHERE source = $1 AND asset_id = ANY($2::integer[])

-- name: know_schedule
-- What was due before a schedule was known is not; the last minute counts, for a one-shot started by cron itself.
INSERT INTO schedule (name, done_until) VALUES ($1, now() - interval '1 minute')
ON CONFLICT DO NOTHING

-- name: read_schedules
SELECT name, done_until, owner, lease_until IS NOT NULL AND lease_until > clock_timestamp() AS held
FROM schedule WHERE name = ANY($1::text[])

-- name: claim_schedule
-- With an instant: unless that one, or a later one, is worked off.
UPDATE schedule SET owner = $3, fence = nextval('fence'), lease_until = clock_timestamp() + $4::interval
WHERE name = $1 AND (owner IS NULL OR lease_until < clock_timestamp()) AND ($2::timestamptz IS NULL OR done_until < $2)
RETURNING fence

-- name: free_schedule
UPDATE schedule SET lease_until = '-infinity' WHERE name = $1 AND owner = $2

-- name: renew_schedule
UPDATE schedule SET lease_until = clock_timestamp() + $3::interval WHERE name = $1 AND fence = $2 AND owner IS NOT NULL

-- name: release_schedule
UPDATE schedule SET owner = NULL, lease_until = NULL,
    done_until = greatest(done_until, coalesce($3::timestamptz, done_until))
WHERE name = $1 AND fence = $2
