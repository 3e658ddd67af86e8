-- Has this database tell pgweir's change stream of each change of its schema and privileges, so
-- that those made elsewhere count within cache.max_staleness instead of cache.catalog_poll. To be
-- run once in each database by a superuser, also after an update of pgweir; unwatch_ddl.sql takes
-- it away again. Costs each DDL statement a call of a PL/pgSQL function, about 0.1 ms, and its
-- transaction 50 bytes of WAL; nothing else. Takes no locks that wait for traffic.
--   psql -d DATABASE -v ON_ERROR_STOP=1 -f watch_ddl.sql
-- What event triggers do not see (roles, memberships, ALTER SYSTEM, settings of roles and of
-- databases, REASSIGN OWNED, event triggers themselves) is still polled.
BEGIN;

CREATE SCHEMA IF NOT EXISTS pgweir;

-- The message is part of the transaction: nobody hears it before the commit, and nobody ever does
-- after a rollback. It says which transaction, because before PostgreSQL 16 test_decoding shows
-- one without changed rows by its messages only. What concerns temporary objects alone is passed
-- over.
CREATE OR REPLACE FUNCTION pgweir.tell_of_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF tg_tag IN ('COMMENT', 'SECURITY LABEL') THEN
    RETURN;
  END IF;
  IF tg_event = 'sql_drop' THEN
    -- Parts of a temporary table that have no schema of their own do not count as temporary.
    PERFORM FROM pg_event_trigger_dropped_objects() d
    WHERE NOT d.is_temporary AND (d.original OR d.schema_name IS NOT NULL);
    IF NOT FOUND THEN
      RETURN;
    END IF;
  ELSE
    PERFORM FROM pg_event_trigger_ddl_commands() c
    WHERE c.schema_name IS DISTINCT FROM 'pg_temp';
    IF NOT FOUND THEN
      PERFORM FROM pg_event_trigger_ddl_commands();
      -- Everything was temporary; or IF NOT EXISTS made nothing; or sql_drop tells it.
      IF FOUND OR tg_tag LIKE 'CREATE %' OR (tg_tag LIKE 'DROP %' AND tg_tag <> 'DROP OWNED') THEN
        RETURN;
      END IF;
    END IF;
  END IF;
  PERFORM pg_logical_emit_message(true, 'pgweir_ddl', pg_current_xact_id()::text);
  -- Where watch_writes.sql stands in for the change stream.
  IF to_regprocedure('pgweir.tell_of_write()') IS NOT NULL THEN
    PERFORM pg_notify('pgweir', 'ddl');
  END IF;
END
$$;
REVOKE ALL ON FUNCTION pgweir.tell_of_ddl() FROM PUBLIC;

DROP EVENT TRIGGER IF EXISTS pgweir_ddl_end;
CREATE EVENT TRIGGER pgweir_ddl_end ON ddl_command_end
  EXECUTE FUNCTION pgweir.tell_of_ddl();
ALTER EVENT TRIGGER pgweir_ddl_end ENABLE ALWAYS;

DROP EVENT TRIGGER IF EXISTS pgweir_ddl_drop;
CREATE EVENT TRIGGER pgweir_ddl_drop ON sql_drop
  EXECUTE FUNCTION pgweir.tell_of_ddl();
ALTER EVENT TRIGGER pgweir_ddl_drop ENABLE ALWAYS;

COMMIT;
