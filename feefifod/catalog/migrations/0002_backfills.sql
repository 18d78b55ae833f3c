-- The pace of calls to each API, shared by every process on this PostgreSQL.
CREATE TABLE pacer (
    source text PRIMARY KEY,
    -- No call before this instant.
    free_at timestamptz NOT NULL
);

CREATE TABLE backfill_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    -- The schedule's name; empty for a command.
    schedule text NOT NULL DEFAULT '',
    due_at timestamptz,
    asked jsonb NOT NULL,
    -- Whether the prices are adjusted for splits.
    adjusted boolean NOT NULL,
    owner text NOT NULL,
    outcome text CHECK (outcome IN ('done', 'failed', 'stopped', 'interrupted')),
    reason text NOT NULL DEFAULT '',
    assets integer NOT NULL DEFAULT 0,
    assets_failed integer NOT NULL DEFAULT 0,
    calls_planned integer NOT NULL DEFAULT 0,
    calls_done integer NOT NULL DEFAULT 0,
    created bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    no_trades bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

CREATE INDEX backfill_run_schedule ON backfill_run (schedule, id);
CREATE INDEX backfill_run_unfinished ON backfill_run (id) WHERE outcome IS NULL;

-- Sessions on which an asset had no candle in a complete answer: not asked for again.
CREATE TABLE no_trades (
    source text NOT NULL,
    asset_id integer NOT NULL REFERENCES asset,
    symbol text NOT NULL,
    session date NOT NULL,
    PRIMARY KEY (source, asset_id, symbol, session)
);

-- Up to which session splits are worked into the oldest stored candles of an asset, and when splits were looked for.
CREATE TABLE split_basis (
    source text NOT NULL,
    asset_id integer NOT NULL REFERENCES asset,
    pulled_on date NOT NULL,
    checked_on date NOT NULL,
    PRIMARY KEY (source, asset_id)
);

CREATE TABLE schedule (
    name text PRIMARY KEY,
    -- Instants up to here are worked off, or were before our time.
    done_until timestamptz NOT NULL,
    owner text,
    fence bigint NOT NULL DEFAULT 0,
    lease_until timestamptz
);
