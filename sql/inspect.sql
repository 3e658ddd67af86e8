-- What a session has left on its server connection, as far as the server can be asked. One row with
-- what cannot be carried, and the identity; then the settings that were made in this session, the
-- channels it listens to, and the statements that SQL's PREPARE has made.
-- Qualified throughout: it runs under the client's search_path and role.
SELECT pg_catalog.current_setting('session_authorization'), pg_catalog.current_setting('role'),
    session_user,
    EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid OPERATOR(pg_catalog.=) 2615
        AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
        AND d.refobjid OPERATOR(pg_catalog.<>) 0),
    EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'
        AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()),
    EXISTS (SELECT FROM pg_catalog.pg_prepared_statements p WHERE NOT p.from_sql
        AND pg_catalog.left(p.name, 7) OPERATOR(pg_catalog.<>) 'pgweir_'),
    EXISTS (SELECT FROM pg_catalog.pg_cursors),
    EXISTS (SELECT FROM pg_catalog.pg_listening_channels());
SELECT s.name, s.setting FROM pg_catalog.pg_settings s
    WHERE s.source OPERATOR(pg_catalog.=) 'session';
SELECT c FROM pg_catalog.pg_listening_channels() c;
SELECT p.name, p.statement, p.from_sql FROM pg_catalog.pg_prepared_statements p WHERE p.from_sql;
