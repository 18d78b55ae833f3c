-- create_table --
CREATE TABLE IF NOT EXISTS {table} (
    asset_id INT,
    time TIMESTAMP,
    open DOUBLE,
    high DOUBLE,
    low DOUBLE,
    close DOUBLE,
    volume DOUBLE,
    interval_minutes INT,
    trade_count INT,
    quote_currency SYMBOL,
    source SYMBOL
) TIMESTAMP(time) PARTITION BY <partition_by> WAL
DEDUP UPSERT KEYS(time, asset_id, interval_minutes, source, quote_currency);

-- enable_dedup --
ALTER TABLE {table} DEDUP ENABLE UPSERT KEYS(time, asset_id, interval_minutes, source, quote_currency);

-- show_columns --
SHOW COLUMNS FROM {table};

-- find_table --
SELECT id, designatedTimestamp, partitionBy, walEnabled, dedup, matView
FROM tables() WHERE lower(table_name) = lower({name});

-- drop_table --
DROP TABLE IF EXISTS {table};

-- create_server --
CREATE TABLE IF NOT EXISTS feefifod_server (server_id UUID, created TIMESTAMP);

-- name_server --
INSERT INTO feefifod_server VALUES (rnd_uuid4(), now());

-- read_server --
SELECT server_id FROM feefifod_server LIMIT 1;

-- count_rows --
SELECT count() FROM {table};

-- first --
SELECT cast(time AS LONG) FROM (SELECT time FROM {table} LIMIT 1);

-- last --
SELECT cast(time AS LONG) FROM (SELECT time FROM {table} LIMIT -1);

-- read_wal --
SELECT suspended, writerTxn, sequencerTxn, errorTag, errorMessage
FROM wal_tables() WHERE lower(name) = lower({name});

-- resume --
ALTER TABLE {table} RESUME WAL;

-- read_progress --
SELECT id, sequencerTxn, cast(pg_postmaster_start_time() AS LONG), suspended, errorTag, errorMessage
FROM tables() t JOIN wal_tables() w ON w.name = t.table_name
WHERE lower(t.table_name) = lower({name});

-- read_pending --
SELECT wal_pending_row_count FROM tables() WHERE lower(table_name) = lower({name});
