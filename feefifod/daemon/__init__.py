"""What runs for long: the services that a command works with, one-shot ingestion, and the daemon."""
