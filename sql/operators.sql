-- Operators by name and schema: the worst volatility of any, and the functions of those that are
-- not built in.
SELECT o.oprname, o.oprnamespace,
       CASE WHEN pg_catalog.bool_or(p.provolatile IS NULL
                   OR p.provolatile OPERATOR(pg_catalog.=) 'v') THEN 'v'
            WHEN pg_catalog.bool_or(p.provolatile OPERATOR(pg_catalog.=) 's') THEN 's'
            ELSE 'i' END,
       pg_catalog.string_agg(DISTINCT o.oprcode::pg_catalog.oid::pg_catalog.text, ',')
         FILTER (WHERE o.oid OPERATOR(pg_catalog.>=) 16384
           OR o.oprnamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace
           OR o.oprcode::pg_catalog.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid)
FROM pg_catalog.pg_operator o
LEFT JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) o.oprcode::pg_catalog.oid
GROUP BY o.oprname, o.oprnamespace
