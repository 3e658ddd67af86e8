-- Takes away what watch_writes.sql has installed, the triggers of all tables included: waits for
-- the transactions that write them. To be run by who has installed it.
--   psql -d DATABASE -v ON_ERROR_STOP=1 -f unwatch_writes.sql
BEGIN;
DROP EVENT TRIGGER IF EXISTS pgweir_new_tables;
DROP FUNCTION IF EXISTS pgweir.watch_new_tables();
DROP FUNCTION IF EXISTS pgweir.watch_tables();
DROP FUNCTION IF EXISTS pgweir.tell_of_write() CASCADE;
-- The schema stays while something else is in it.
DO $$
BEGIN
  DROP SCHEMA IF EXISTS pgweir RESTRICT;
EXCEPTION WHEN dependent_objects_still_exist THEN
  NULL;
END
$$;
COMMIT;
