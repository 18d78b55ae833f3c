-- Whether a new file has rivals is asked for each batch; a series that gets a small file every second has a million.
CREATE INDEX file_rivals ON file (ticker, category, quote, interval_minutes, last_seconds) WHERE ending = 'done';
