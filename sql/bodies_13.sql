-- bodies.sql for servers before 14, which have no SQL-standard bodies.
SELECT p.oid,
       CASE WHEN pg_catalog.octet_length(p.prosrc) OPERATOR(pg_catalog.<=) $1 THEN p.prosrc END
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
WHERE p.prokind OPERATOR(pg_catalog.<>) 'a'
  AND l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}'::pg_catalog.name[])
  AND NOT (p.oid OPERATOR(pg_catalog.<) 16384
       AND p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace)
