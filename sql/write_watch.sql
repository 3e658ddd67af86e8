-- Whether watch_writes.sql is installed: by its function's name, since to_regprocedure() fails for
-- who has no rights to the schema. Without a semicolon: it stands in other queries, too.
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
WHERE n.nspname OPERATOR(pg_catalog.=) 'pgweir'
  AND p.proname OPERATOR(pg_catalog.=) 'tell_of_write'
  AND p.pronargs OPERATOR(pg_catalog.=) 0
