-- Which server this is, whether it has room for one more change stream, ($1) whether that would
-- tell of schema changes, and ($2) the state of the publication it is to show.
SELECT (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s),
       pg_catalog.current_setting('wal_block_size'),
       pg_catalog.current_setting('wal_level'),
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('max_replication_slots')::pg_catalog.int4
           OPERATOR(pg_catalog.-) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),
       pg_catalog.current_setting('max_wal_senders')::pg_catalog.int4
           OPERATOR(pg_catalog.-)
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_get_wal_senders()),
       ($1),
       ($2)
