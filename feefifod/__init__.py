"""feefifod streams Kraken OHLCVT files and API candles into QuestDB, exactly once."""

__version__ = "0.1.0"
