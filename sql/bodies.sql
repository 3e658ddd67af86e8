-- Bodies of the users' functions in the languages that are analysed. NULL where one is too long ($1
-- is put in as a number): then it is taken for harmful. SQL-standard bodies are stored as parse
-- trees and shown as text, with names qualified because search_path is pg_catalog.
SELECT p.oid, b.text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
CROSS JOIN LATERAL (
  SELECT CASE WHEN p.prosqlbody IS NULL THEN p.prosrc
              ELSE pg_catalog.pg_get_function_sqlbody(p.oid) END) s(body)
CROSS JOIN LATERAL (
  SELECT CASE WHEN pg_catalog.octet_length(s.body) OPERATOR(pg_catalog.<=) $1
              THEN s.body END) b(text)
WHERE p.prokind OPERATOR(pg_catalog.<>) 'a'
  AND l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}'::pg_catalog.name[])
  AND NOT (p.oid OPERATOR(pg_catalog.<) 16384
       AND p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace)
