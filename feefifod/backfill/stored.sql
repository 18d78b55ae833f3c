SELECT asset_id, quote_currency, cast(time AS LONG), open, high, low, close, volume, trade_count
FROM {table}
WHERE time BETWEEN {first} AND {last} AND source = {source} AND interval_minutes = 1440
    AND asset_id BETWEEN {lowest} AND {highest}
