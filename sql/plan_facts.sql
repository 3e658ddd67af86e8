-- What is to know of the relations in a plan ($1: as EXPLAIN (VERBOSE, FORMAT JSON) gives it) to
-- say which index would help. Per relation a row 'r' (estimated rows, bytes, whether it is an
-- ordinary table of its own), 'c' per column (type), 'i' per index (first column, empty for an
-- expression).
WITH named AS (
    SELECT DISTINCT node ->> 'Schema' AS schema, node ->> 'Relation Name' AS name
    FROM jsonb_path_query($1::jsonb, 'strict $.** ? (exists (@."Relation Name"))') AS node
), found AS (
    SELECT c.oid, named.schema, named.name, c.reltuples, c.relkind = 'r' AND NOT c.relispartition
               AS ordinary
    FROM named
    JOIN pg_namespace n ON n.nspname = named.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = named.name
    LIMIT 64
)
SELECT 'r', schema, name, greatest(reltuples, 0)::bigint::text, pg_relation_size(oid)::text,
       ordinary
FROM found
UNION ALL
SELECT 'c', f.schema, f.name, a.attname, format_type(a.atttypid, NULL), false
FROM found f JOIN pg_attribute a ON a.attrelid = f.oid
WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'i', f.schema, f.name, ic.relname, coalesce(a.attname, ''), false
FROM found f
JOIN pg_index i ON i.indrelid = f.oid
JOIN pg_class ic ON ic.oid = i.indexrelid
LEFT JOIN pg_attribute a ON a.attrelid = f.oid AND a.attnum = i.indkey[0] AND i.indkey[0] > 0
ORDER BY 1 DESC, 2, 3, 4
