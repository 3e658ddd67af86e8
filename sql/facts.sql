-- What a control connection asks with each poll: which server, and its limits.
SELECT pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('server_version_num'),
       pg_catalog.current_setting('max_connections'),
       pg_catalog.current_setting('superuser_reserved_connections'),
       pg_catalog.current_setting('reserved_connections', true),
       pg_catalog.current_setting('wal_level') OPERATOR(pg_catalog.=) 'logical',
       pg_catalog.pg_is_in_recovery(),
       EXISTS (SELECT 1 FROM pg_catalog.pg_roles r
               WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
                 AND (r.rolreplication OR r.rolsuper))
           OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles r
                      WHERE r.rolname OPERATOR(pg_catalog.=) 'rds_replication'
                        AND pg_catalog.pg_has_role(r.oid, 'MEMBER'))
