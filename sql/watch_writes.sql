-- For servers that refuse logical decoding (wal_level, no REPLICATION): has the tables of this
-- database tell pgweir of each write by NOTIFY. Where a change stream can be had, do not use it.
--   psql -d DATABASE -v ON_ERROR_STOP=1 -f watch_writes.sql
-- To be run by the owner of the tables, or a superuser; once more after an update of pgweir. Run by
-- a superuser, it also watches tables that are made later; else SELECT pgweir.watch_tables() has to
-- be called after making some: those not watched are not cached. watch_ddl.sql beside it has schema
-- changes count at once, too. unwatch_writes.sql takes it away.
-- The price:
--   * NOTIFY has commits wait for each other: every transaction that writes a watched table holds a
--     lock of the whole server while it commits. With many small writes at once that takes most of
--     the throughput (measured: 90 % at 8 clients); few writers hardly notice.
--   * A transaction that has written a watched table cannot be prepared (PREPARE TRANSACTION).
--   * What logical replication applies runs no statement triggers: not for subscribers' tables.
BEGIN;

CREATE SCHEMA IF NOT EXISTS pgweir;

CREATE OR REPLACE FUNCTION pgweir.tell_of_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('pgweir', tg_relid::text);
  RETURN NULL;
END
$$;

-- Watches what is not watched yet of the caller's tables; gives how many those were.
CREATE OR REPLACE FUNCTION pgweir.watch_tables() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  tables regclass[] := ARRAY(
    SELECT c.oid FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
      AND c.relnamespace <> 'information_schema'::regnamespace
      AND c.relnamespace <> 'pg_catalog'::regnamespace
      AND pg_has_role(c.relowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_trigger t
                      WHERE t.tgrelid = c.oid AND t.tgname = 'pgweir_tell'));
  one regclass;
BEGIN
  FOREACH one IN ARRAY tables LOOP
    EXECUTE format('CREATE TRIGGER pgweir_tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION pgweir.tell_of_write()', one);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER pgweir_tell', one);
  END LOOP;
  RETURN cardinality(tables);
END
$$;

-- The same for what one statement has made, with the rights of a superuser.
CREATE OR REPLACE FUNCTION pgweir.watch_new_tables() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM pg_event_trigger_ddl_commands() c
  WHERE c.object_type = 'table' AND c.schema_name IS DISTINCT FROM 'pg_temp';
  IF FOUND THEN
    PERFORM pgweir.watch_tables();
  END IF;
END
$$;
REVOKE ALL ON FUNCTION pgweir.watch_new_tables() FROM PUBLIC;

DO $$
BEGIN
  IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
    DROP EVENT TRIGGER IF EXISTS pgweir_new_tables;
    CREATE EVENT TRIGGER pgweir_new_tables ON ddl_command_end
      WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA')
      EXECUTE FUNCTION pgweir.watch_new_tables();
    ALTER EVENT TRIGGER pgweir_new_tables ENABLE ALWAYS;
  END IF;
END
$$;

SELECT pgweir.watch_tables();
COMMIT;
