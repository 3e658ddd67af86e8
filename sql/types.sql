-- Types outside pg_catalog: name, OID, and whether it is an enum or a base type of a name that
-- pg_catalog does not have. Array types only where it has one.
SELECT t.typname, t.oid, b.oid IS NULL
         AND t.typtype OPERATOR(pg_catalog.=) ANY ('{b,e}'::"char"[])
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
LEFT JOIN pg_catalog.pg_type b ON b.typname OPERATOR(pg_catalog.=) t.typname
 AND b.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
WHERE t.typnamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace
  AND NOT (n.nspname OPERATOR(pg_catalog.~) '^pg_(toast|temp_|toast_temp_)')
  AND (t.typcategory OPERATOR(pg_catalog.<>) 'A' OR b.oid IS NOT NULL)
