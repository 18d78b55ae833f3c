CREATE TABLE asset (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticker text NOT NULL CHECK (ticker <> ''),
    name text NOT NULL CHECK (name <> ''),
    category text NOT NULL CHECK (category IN ('STOCK', 'CRYPTO', 'COMMODITY', 'CURRENCY')),
    tier text NOT NULL DEFAULT 'TIER4' CHECK (tier IN ('TIER1', 'TIER2', 'TIER3', 'TIER4')),
    quote_currency text NOT NULL DEFAULT 'USD' CHECK (quote_currency <> ''),
    description text NOT NULL DEFAULT '',
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (ticker, category)
);

-- One number for every claim, never used twice: who holds an older one has lost what it claimed.
CREATE SEQUENCE fence;

CREATE TABLE batch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fence bigint NOT NULL,
    table_id text NOT NULL,
    lane text NOT NULL DEFAULT '',
    -- All rows of the batch before this instant (unix seconds) are acknowledged.
    checkpoint_seconds bigint,
    -- Rows that lost against another file of the batch before the checkpoint, by series.
    merged jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

CREATE TABLE file (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path bytea NOT NULL,
    name text NOT NULL,
    device bigint NOT NULL,
    inode numeric(20) NOT NULL,
    size bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    ctime_ns bigint NOT NULL,
    ticker text NOT NULL,
    category text NOT NULL,
    quote text NOT NULL,
    interval_minutes integer NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'loading', 'moving', 'done', 'rejected', 'duplicate', 'empty')),
    -- Where a file in 'moving' is going; for 'done' this is the proof that its rows are in the table.
    ending text CHECK (ending IN ('done', 'rejected', 'duplicate', 'empty')),
    sha256 bytea,
    -- Found out of order or with bad rows: it is put in order on its own before it is swept.
    irregular boolean NOT NULL DEFAULT false,
    -- Its rows win over what is stored, whatever their trade counts; asked for by a person.
    overwrite boolean NOT NULL DEFAULT false,
    batch_id bigint REFERENCES batch,
    owner text,
    fence bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    table_id text,
    rows_accepted bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    rows_odd bigint NOT NULL DEFAULT 0,
    first_seconds bigint,
    last_seconds bigint,
    reason text NOT NULL DEFAULT '',
    moved_to bytea,
    seen_at timestamptz NOT NULL DEFAULT now(),
    loaded_at timestamptz,
    finished_at timestamptz
);

-- A path in the data folder has one row that is not finished.
CREATE UNIQUE INDEX file_live ON file (path) WHERE state IN ('waiting', 'loading', 'moving');
CREATE INDEX file_unfinished ON file (state) WHERE state IN ('waiting', 'loading', 'moving');
CREATE INDEX file_content ON file (sha256) WHERE ending = 'done';
CREATE INDEX file_series ON file (ticker, category, quote, interval_minutes);
CREATE INDEX file_batch ON file (batch_id);

-- Which table a configured database was last seen to be; lets `status` count without QuestDB.
CREATE TABLE target (
    database text PRIMARY KEY,
    table_id text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
