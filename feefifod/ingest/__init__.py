"""Ingestion of files: from the data folder to rows that are proven to be in the table."""
