-- insert --
INSERT ATOMIC INTO {table} (
    asset_id, time, open, high, low, close, volume, interval_minutes, trade_count, quote_currency, source
)
SELECT asset_id, time, open, high, low, close, volume, interval_minutes, trade_count, quote_currency, source
FROM read_parquet({file});

-- probe --
SELECT count() FROM read_parquet({file});
