-- insert --
INSERT ATOMIC INTO {table} (
    asset_id, time, open, high, low, close, volume, interval_minutes, trade_count, quote_currency, source
)
SELECT asset_id, time, open, high, low, close, volume, interval_minutes, trade_count,
       cast(quote_currency AS SYMBOL), cast(source AS SYMBOL)
FROM read_parquet({file});

-- probe --
SELECT count() FROM read_parquet({file});
