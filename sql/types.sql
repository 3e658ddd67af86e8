-- Names of types outside pg_catalog, and whether pg_catalog has a type of the same name. Array
-- types matter only then.
SELECT t.typname, pg_catalog.bool_or(b.oid IS NOT NULL)
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
LEFT JOIN pg_catalog.pg_type b ON b.typname OPERATOR(pg_catalog.=) t.typname
 AND b.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
WHERE t.typnamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace
  AND NOT (n.nspname OPERATOR(pg_catalog.~) '^pg_(toast|temp_|toast_temp_)')
  AND (t.typcategory OPERATOR(pg_catalog.<>) 'A' OR b.oid IS NOT NULL)
GROUP BY t.typname
