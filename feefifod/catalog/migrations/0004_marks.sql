-- When a table was last seen well, so that after an accident it is known how far back to prove again.
CREATE TABLE mark (
    table_id text PRIMARY KEY,
    well_at timestamptz NOT NULL,
    -- When QuestDB was started, in microseconds since 1970: another start may have come after a power cut.
    started_us bigint NOT NULL,
    -- Transactions of its write-ahead log; they become fewer only where an older copy was put in the table's place.
    sequenced bigint NOT NULL,
    -- The last check that a daemon made by itself, and its outcome.
    checked_at timestamptz,
    outcome jsonb
);
