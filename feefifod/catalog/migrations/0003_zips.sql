-- A zip is a drop with a row of its own, and so is each of its members, whose path in scratch space says where it
-- is from: .../scratch/zips/<SHA-256 of the zip>/<portion>/<member>. A zip that is dropped again under another name,
-- or that was only partly wanted, so goes on where it was.
ALTER TABLE file
    ADD COLUMN is_zip boolean NOT NULL DEFAULT false,
    -- OHLCVT files in a zip; NULL until it was opened.
    ADD COLUMN members integer,
    ADD COLUMN zip_sha256 bytea GENERATED ALWAYS AS (
        decode(substring(encode(path, 'escape') FROM '/scratch/zips/([0-9a-f]{64})/[^/]+/.'), 'hex')
    ) STORED,
    ADD COLUMN member text GENERATED ALWAYS AS (
        substring(encode(path, 'escape') FROM '/scratch/zips/[0-9a-f]{64}/[^/]+/(.+)$')
    ) STORED;

CREATE INDEX file_member ON file (zip_sha256) WHERE zip_sha256 IS NOT NULL;
CREATE INDEX file_zip ON file (sha256) WHERE is_zip;
