"""feefifod streams Kraken OHLCVT files and API candles into QuestDB, exactly once."""

import os

__version__ = "0.1.0"

# For linear algebra, which nobody here does, numpy starts threads that spin for a tenth of a second at each start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
