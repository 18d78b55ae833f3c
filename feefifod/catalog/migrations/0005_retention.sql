-- What became of a finished file in time: packed in its place, or removed. `moved_to` follows.
ALTER TABLE file
    ADD COLUMN archived text NOT NULL DEFAULT '' CHECK (archived IN ('', 'compressed', 'pruned')),
    ADD COLUMN archived_at timestamptz,
    -- Where the original lay, until it is certain that it is removed.
    ADD COLUMN leftover bytea;

CREATE INDEX file_leftover ON file (id) WHERE leftover IS NOT NULL;
CREATE INDEX file_archived ON file (table_id) WHERE archived = 'pruned';

-- What stands for pruned files: fingerprints of the rows that the table held of them when they were last proven, by
-- the first instant of the month in microseconds. A month counts for all pruned files of the series that touch it.
CREATE TABLE pruned_series (
    table_id text NOT NULL,
    ticker text NOT NULL,
    category text NOT NULL,
    quote text NOT NULL,
    interval_minutes integer NOT NULL,
    months jsonb NOT NULL,
    PRIMARY KEY (table_id, ticker, category, quote, interval_minutes)
);

-- When retention was last applied to the files of a table: once a day is enough, whoever does it.
CREATE TABLE retention_day (
    table_id text PRIMARY KEY,
    begun_at timestamptz NOT NULL
);
