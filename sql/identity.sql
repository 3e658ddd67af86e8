-- Which database of which server this is. The last column is a stand-in for the system identifier,
-- for servers that keep pg_control_system() from us; it changes at a restart, which only costs a
-- cache.
SELECT d.oid,
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'),
       pg_catalog.concat_ws('|', 'stand-in', pg_catalog.inet_server_addr(),
         pg_catalog.inet_server_port(), pg_catalog.current_setting('port'),
         pg_catalog.pg_postmaster_start_time()::pg_catalog.timestamptz)
FROM pg_catalog.pg_database d
WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
