-- What a new control connection asks first: which server, and its limits.
SELECT pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('server_version_num'),
       pg_catalog.current_setting('max_connections'),
       pg_catalog.current_setting('superuser_reserved_connections'),
       pg_catalog.current_setting('reserved_connections', true),
       pg_catalog.current_setting('wal_level') OPERATOR(pg_catalog.=) 'logical',
       pg_catalog.pg_is_in_recovery()
