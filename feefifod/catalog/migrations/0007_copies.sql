-- A table that is copied into another partitioning. While it is 'copying', its owner's lease says whether that goes on;
-- from 'swapping' on, the names are about to be changed, or are: whoever finds that without a living owner finishes it.
CREATE TABLE table_copy (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    -- Identities of the table and of its copy; the latter is NULL until it is made.
    from_id text NOT NULL,
    to_id text,
    partition_by text NOT NULL,
    state text NOT NULL DEFAULT 'copying' CHECK (state IN ('copying', 'swapping', 'bound', 'done', 'given up')),
    -- Transactions of the table when its copy was proven: one more in between is a row that the copy lacks.
    sequenced bigint,
    owner text NOT NULL,
    fence bigint NOT NULL,
    lease_until timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

CREATE UNIQUE INDEX table_copy_unfinished ON table_copy (from_id) WHERE state IN ('copying', 'swapping', 'bound');

-- Who reads or writes a table as a whole, beside the batches and zips of the ledger: a copy waits for them.
CREATE TABLE table_use (
    fence bigint PRIMARY KEY,
    table_id text NOT NULL,
    purpose text NOT NULL,
    owner text NOT NULL,
    lease_until timestamptz NOT NULL
);
