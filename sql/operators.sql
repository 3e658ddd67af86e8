-- Operators by name and schema: whether all are built in, and the worst volatility of any.
SELECT o.oprname, o.oprnamespace,
       pg_catalog.bool_and(o.oid OPERATOR(pg_catalog.<) 16384
         AND o.oprnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
         AND o.oprcode::pg_catalog.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid),
       CASE WHEN pg_catalog.bool_or(p.provolatile IS NULL
                   OR p.provolatile OPERATOR(pg_catalog.=) 'v') THEN 'v'
            WHEN pg_catalog.bool_or(p.provolatile OPERATOR(pg_catalog.=) 's') THEN 's'
            ELSE 'i' END
FROM pg_catalog.pg_operator o
LEFT JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) o.oprcode::pg_catalog.oid
GROUP BY o.oprname, o.oprnamespace
