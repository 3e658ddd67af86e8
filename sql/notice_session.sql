-- The connection that hears what the triggers of watch_writes.sql tell. Whether they are
-- installed ($2), whether tables are also written by logical replication, which runs no statement
-- triggers, and ($1) whether schema changes are told, too.
SET statement_timeout = '10s';
SET lock_timeout = '5s';
SET client_encoding = 'UTF8';
SET synchronous_commit = local;
LISTEN pgweir;
SELECT ($2),
       EXISTS (SELECT 1 FROM pg_catalog.pg_subscription s
               WHERE s.subenabled AND s.subdbid OPERATOR(pg_catalog.=) (
                       SELECT d.oid FROM pg_catalog.pg_database d
                       WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())),
       ($1)
