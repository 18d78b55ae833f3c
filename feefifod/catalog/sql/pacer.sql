-- name: take_slot
-- Null when the slot is ours, else the seconds until there may be one. An instant far in the future is none that we
-- wrote: the server's clock was set back, and must not silence us until it has caught up.
WITH taken AS (
    INSERT INTO pacer AS p (source, free_at) VALUES ($1, clock_timestamp() + $2)
    ON CONFLICT (source) DO UPDATE SET free_at = clock_timestamp() + $2
    WHERE p.free_at <= clock_timestamp()
        OR p.free_at > clock_timestamp() + greatest(2 * $2::interval, interval '15 minutes')
    RETURNING source
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM taken) THEN NULL ELSE
    coalesce((SELECT extract(epoch FROM free_at - clock_timestamp())::float8 FROM pacer WHERE source = $1), 0) END

-- name: hold_off
INSERT INTO pacer AS p (source, free_at) VALUES ($1, clock_timestamp() + $2)
ON CONFLICT (source) DO UPDATE SET free_at = greatest(p.free_at, clock_timestamp() + $2)
