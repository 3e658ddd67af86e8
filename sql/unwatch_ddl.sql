-- Takes away what watch_ddl.sql has installed; pgweir then polls the catalog again.
--   psql -d DATABASE -v ON_ERROR_STOP=1 -f unwatch_ddl.sql
BEGIN;
DROP EVENT TRIGGER IF EXISTS pgweir_ddl_drop;
DROP EVENT TRIGGER IF EXISTS pgweir_ddl_end;
DROP FUNCTION IF EXISTS pgweir.tell_of_ddl();
-- The schema stays while something else is in it.
DO $$
BEGIN
  DROP SCHEMA IF EXISTS pgweir RESTRICT;
EXCEPTION WHEN dependent_objects_still_exist THEN
  NULL;
END
$$;
COMMIT;
