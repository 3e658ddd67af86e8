-- Names of types outside pg_catalog, and whether pg_catalog has a type of the same name. Array
-- types matter only then. With them those of pg_catalog whose values a user's default operator
-- class compares or hashes: see plain_types.sql.
SELECT t.typname, pg_catalog.bool_or(b.oid IS NOT NULL)
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
LEFT JOIN pg_catalog.pg_type b ON b.typname OPERATOR(pg_catalog.=) t.typname
 AND b.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
WHERE t.typnamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace
  AND NOT (n.nspname OPERATOR(pg_catalog.~) '^pg_(toast|temp_|toast_temp_)')
  AND (t.typcategory OPERATOR(pg_catalog.<>) 'A' OR b.oid IS NOT NULL)
GROUP BY t.typname
UNION ALL
SELECT t.typname, true
FROM pg_catalog.pg_type t
WHERE t.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
  AND EXISTS (
    SELECT FROM pg_catalog.pg_opclass o
    JOIN pg_catalog.pg_type x ON x.oid OPERATOR(pg_catalog.=) o.opcintype
    JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) o.opcmethod
    WHERE o.opcdefault AND o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND m.amname OPERATOR(pg_catalog.=) ANY ('{btree,hash}'::pg_catalog.name[])
      AND (x.typtype OPERATOR(pg_catalog.=) 'p' OR x.oid OPERATOR(pg_catalog.=) t.oid))
