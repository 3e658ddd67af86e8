-- The stored query of each view of the users', as PostgreSQL's node tree; NULL where it is longer
-- than $1 (put in as a number). A materialized view's rows are its own.
SELECT r.ev_class, CASE WHEN pg_catalog.octet_length(a.tree) OPERATOR(pg_catalog.<=) $1
                        THEN a.tree END
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.ev_class
CROSS JOIN LATERAL (SELECT r.ev_action::pg_catalog.text) a(tree)
WHERE r.ev_type OPERATOR(pg_catalog.=) '1' AND r.oid OPERATOR(pg_catalog.>=) 16384
  AND c.relkind OPERATOR(pg_catalog.=) 'v'
