-- Functions of the users' triggers with their tables, and of event triggers with table 0; disabled
-- ones included: enabling is quick.
SELECT g.tgfoid, g.tgrelid FROM pg_catalog.pg_trigger g WHERE NOT g.tgisinternal
UNION
SELECT v.evtfoid, 0::pg_catalog.oid FROM pg_catalog.pg_event_trigger v
-- What watch_writes.sql has installed runs DDL, and leaves nothing behind.
WHERE v.evtfoid::pg_catalog.oid OPERATOR(pg_catalog.<>) ALL (ARRAY(
  SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles r
    ON r.oid OPERATOR(pg_catalog.=) p.proowner AND r.rolsuper
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
  WHERE n.nspname OPERATOR(pg_catalog.=) 'pgweir'
    AND p.proname OPERATOR(pg_catalog.=) 'watch_new_tables'
    AND p.pronargs OPERATOR(pg_catalog.=) 0))
