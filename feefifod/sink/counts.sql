-- count_series --
SELECT asset_id, interval_minutes, quote_currency,
       count(), cast(min(time) AS LONG), cast(max(time) AS LONG)
FROM {table}
WHERE time BETWEEN {first} AND {last} AND source = {source}
GROUP BY asset_id, interval_minutes, quote_currency;

-- count_one --
SELECT count(), cast(min(time) AS LONG), cast(max(time) AS LONG)
FROM {table}
WHERE time BETWEEN {first} AND {last} AND source = {source}
  AND asset_id = {asset_id} AND interval_minutes = {interval_minutes} AND quote_currency = {quote};
