-- published.sql for servers before PostgreSQL 15, where neither schemas nor some rows can be
-- published.
WITH publication AS (
  SELECT p.oid, p.puballtables, p.pubviaroot FROM pg_catalog.pg_publication p
  WHERE p.pubname OPERATOR(pg_catalog.=) ($1)::pg_catalog.name
    AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
), given AS (
  SELECT r.prrelid AS oid, p.pubviaroot FROM pg_catalog.pg_publication_rel r
  JOIN publication p ON p.oid OPERATOR(pg_catalog.=) r.prpubid
  UNION
  SELECT c.oid, p.pubviaroot
  FROM pg_catalog.pg_class c CROSS JOIN publication p WHERE p.puballtables
)
SELECT c.oid, false, g.pubviaroot
FROM given g JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) g.oid
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.=) 'p'
  AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
