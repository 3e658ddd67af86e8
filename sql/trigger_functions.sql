-- Functions of the users' triggers with their tables, and of event triggers with table 0; disabled
-- ones included: enabling is quick.
SELECT g.tgfoid, g.tgrelid FROM pg_catalog.pg_trigger g WHERE NOT g.tgisinternal
UNION
SELECT v.evtfoid, 0::pg_catalog.oid FROM pg_catalog.pg_event_trigger v
