"""The price APIs: Massive.com and Finnhub, over one careful HTTP client."""
