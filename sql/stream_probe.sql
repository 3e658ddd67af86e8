-- How far the server is: what is visible now stands in the log before this position.
SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text,
       pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text
