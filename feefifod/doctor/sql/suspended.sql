SELECT name, errorTag, errorMessage FROM wal_tables() WHERE suspended ORDER BY name
