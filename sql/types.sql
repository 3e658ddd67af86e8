-- Names of types outside pg_catalog, and whether all of a name are enums or base types, and plain
-- ($1, plain_types.sql), and pg_catalog has none. Array types matter only where it has one.
WITH plain AS (
  $1
)
SELECT t.typname, pg_catalog.bool_and(b.oid IS NULL AND p.oid IS NOT NULL
         AND t.typtype OPERATOR(pg_catalog.=) ANY ('{b,e}'::"char"[]))
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
LEFT JOIN pg_catalog.pg_type b ON b.typname OPERATOR(pg_catalog.=) t.typname
 AND b.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
LEFT JOIN plain p ON p.oid OPERATOR(pg_catalog.=) t.oid
WHERE t.typnamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace
  AND NOT (n.nspname OPERATOR(pg_catalog.~) '^pg_(toast|temp_|toast_temp_)')
  AND (t.typcategory OPERATOR(pg_catalog.<>) 'A' OR b.oid IS NOT NULL)
GROUP BY t.typname
