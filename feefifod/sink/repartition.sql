-- read_partitions --
SELECT cast(minTimestamp AS LONG), cast(maxTimestamp AS LONG), numRows, diskSize, attached
FROM table_partitions({name});

-- read_names --
SELECT id, table_name FROM tables() WHERE id IN {ids};

-- read_kind --
SELECT directoryName, ttlValue, ttlUnit, partitionBy, coalesce(w.suspended, false)
FROM tables() t LEFT JOIN wal_tables() w ON w.name = t.table_name
WHERE t.table_name = {name};

-- read_parameters --
SHOW PARAMETERS;

-- insert --
INSERT INTO {copy} (
    asset_id, time, open, high, low, close, volume, interval_minutes, trade_count, quote_currency, source
)
SELECT asset_id, time, open, high, low, close, volume, interval_minutes, trade_count, quote_currency, source
FROM {table} WHERE time >= {start} AND time < {end};

-- read_fingerprints --
SELECT source, asset_id, interval_minutes, quote_currency,
    <sums>
FROM {table} WHERE time >= {start} AND time < {end};

-- count_keys --
SELECT count() FROM (
    SELECT DISTINCT time, asset_id, interval_minutes, source, quote_currency
    FROM {table} WHERE time >= {start} AND time < {end}
);

-- rename --
RENAME TABLE {table} TO {name};

-- set_ttl --
ALTER TABLE {table} SET TTL <ttl>;

-- flush --
CHECKPOINT CREATE;

-- release --
CHECKPOINT RELEASE;

-- read_views --
SELECT view_name FROM materialized_views() WHERE base_table_name = {table} AND view_status = {status};

-- refresh_view --
REFRESH MATERIALIZED VIEW {view} FULL;
