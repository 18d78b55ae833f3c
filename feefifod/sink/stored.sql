-- read_stored --
SELECT asset_id, interval_minutes, quote_currency, cast(time AS LONG), trade_count, volume
FROM {table}
WHERE time BETWEEN {first} AND {last} AND source = {source} AND asset_id IN {assets};
