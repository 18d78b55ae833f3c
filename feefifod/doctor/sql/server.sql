SELECT current_setting('server_version') AS version, current_setting('server_version_num')::integer AS number,
    current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    extract(epoch FROM clock_timestamp())::float8 AS now
