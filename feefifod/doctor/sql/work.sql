-- What is being worked on, by whom, and whether that one still holds it.
SELECT 'file' AS kind, coalesce(owner, '') AS owner, coalesce(lease_until < now(), true) AS ended, count(*) AS number
FROM file WHERE state IN ('loading', 'moving') GROUP BY 2, 3
UNION ALL
SELECT 'backfill', owner, false, count(*) FROM backfill_run WHERE outcome IS NULL GROUP BY 2
UNION ALL
SELECT 'schedule', owner, coalesce(lease_until < now(), true), count(*) FROM schedule WHERE owner IS NOT NULL
GROUP BY 2, 3
UNION ALL
SELECT 'copy', owner, lease_until < now(), count(*) FROM table_copy
WHERE state IN ('copying', 'swapping', 'bound') GROUP BY 2, 3
ORDER BY 1, 2
