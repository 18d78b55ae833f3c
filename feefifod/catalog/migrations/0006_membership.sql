-- Which zip a file was unpacked from is what the process that unpacked it says, never what its path looks like: a file
-- that a person drops may lie anywhere. Both columns become plain ones, with the values that they have.
ALTER TABLE file
    ALTER COLUMN zip_sha256 DROP EXPRESSION,
    ALTER COLUMN member DROP EXPRESSION,
    -- What is around its candles, from the inside out: '.zst' when it was dropped compressed, '.rows.csv' when it is a
    -- list of refused rows. `sha256` and the counts are of what is inside.
    ADD COLUMN wrapping text NOT NULL DEFAULT '';
