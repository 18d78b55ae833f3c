-- name: ensure_assets
-- Tickers, categories and tiers as arrays; existing assets stay as they are.
INSERT INTO asset (ticker, name, category, tier)
SELECT DISTINCT ON (t.ticker, t.category) t.ticker, t.ticker, t.category, t.tier
FROM unnest($1::text[], $2::text[], $3::text[]) AS t (ticker, category, tier)
ON CONFLICT (ticker, category) DO NOTHING

-- name: find_assets
SELECT a.* FROM asset a
JOIN unnest($1::text[], $2::text[]) AS t (ticker, category) USING (ticker, category)

-- name: create_asset
INSERT INTO asset (ticker, name, category, tier, quote_currency, description)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (ticker, category) DO NOTHING
RETURNING *

-- name: list_assets
SELECT * FROM asset
WHERE ($1::text IS NULL OR category = $1) AND ($2::boolean IS NULL OR active = $2)
ORDER BY category, ticker

-- name: find_ticker
SELECT * FROM asset
WHERE ticker = $1 AND ($2::text IS NULL OR category = $2)
ORDER BY category

-- name: change_asset
UPDATE asset SET
    name = coalesce($2, name),
    category = coalesce($3, category),
    tier = coalesce($4, tier),
    quote_currency = coalesce($5, quote_currency),
    active = coalesce($6, active),
    updated_at = now()
WHERE id = $1 AND NOT EXISTS (
    SELECT 1 FROM asset other WHERE other.ticker = asset.ticker AND other.category = $3 AND other.id <> $1
)
RETURNING *
