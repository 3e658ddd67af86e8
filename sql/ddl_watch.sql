-- Whether watch_ddl.sql is installed and not switched off. Without a semicolon or brackets: it
-- stands in other queries, too.
SELECT pg_catalog.count(DISTINCT e.evtevent) OPERATOR(pg_catalog.=) 2
FROM pg_catalog.pg_event_trigger e
JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) e.evtfoid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
WHERE n.nspname OPERATOR(pg_catalog.=) 'pgweir'
  AND p.proname OPERATOR(pg_catalog.=) 'tell_of_ddl'
  AND e.evtenabled OPERATOR(pg_catalog.=) 'A' AND e.evttags IS NULL
