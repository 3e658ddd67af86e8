-- Functions of the users' triggers and event triggers, disabled ones included: enabling is quick.
SELECT g.tgfoid FROM pg_catalog.pg_trigger g WHERE NOT g.tgisinternal
UNION
SELECT v.evtfoid FROM pg_catalog.pg_event_trigger v
