-- sums --
    count(), cast(min(time) AS LONG), cast(max(time) AS LONG), count(trade_count), sum(trade_count),
    min(least(open, high, low, close)), max(greatest(open, high, low, close)), min(volume), max(volume),
    sum(trade_count * (cast(time AS LONG) * 2 + 1)),
    sum((cast(open * 1073741824.0 AS LONG) * 6364136223846793005
        + cast((open * 1073741824.0 - floor(open * 1073741824.0)) * 9223372036854775808.0 AS LONG))
        * (cast(time AS LONG) * 2 + 1)),
    sum((cast(high * 1073741824.0 AS LONG) * 6364136223846793005
        + cast((high * 1073741824.0 - floor(high * 1073741824.0)) * 9223372036854775808.0 AS LONG))
        * (cast(time AS LONG) * 2 + 1)),
    sum((cast(low * 1073741824.0 AS LONG) * 6364136223846793005
        + cast((low * 1073741824.0 - floor(low * 1073741824.0)) * 9223372036854775808.0 AS LONG))
        * (cast(time AS LONG) * 2 + 1)),
    sum((cast(close * 1073741824.0 AS LONG) * 6364136223846793005
        + cast((close * 1073741824.0 - floor(close * 1073741824.0)) * 9223372036854775808.0 AS LONG))
        * (cast(time AS LONG) * 2 + 1)),
    sum((cast(volume * 65536.0 AS LONG) * 6364136223846793005
        + cast((volume * 65536.0 - floor(volume * 65536.0)) * 9223372036854775808.0 AS LONG))
        * (cast(time AS LONG) * 2 + 1));

-- read_checksums --
SELECT asset_id, interval_minutes, quote_currency, cast(timestamp_floor('M', time) AS LONG),
    <sums>
FROM {table}
WHERE time BETWEEN {first} AND {last} AND source = {source}
    AND asset_id IN {assets} AND interval_minutes IN {intervals};

-- read_candles --
SELECT cast(time AS LONG), open, high, low, close, volume, trade_count
FROM {table}
WHERE time BETWEEN {first} AND {last} AND source = {source}
    AND asset_id = {asset_id} AND interval_minutes = {interval_minutes} AND quote_currency = {quote};
