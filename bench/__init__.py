"""Synthetic archives, and the measurement of feefifod against other ways into QuestDB."""
