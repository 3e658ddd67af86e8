-- Every table that the publication named $1 has been given, itself or by its schema, or because it
-- has all; partitions are published with any table above them, which is for the reader to add. By
-- table: whether some of its rows may be left out, and whether partitions are published as the
-- uppermost table above them that was given, in which case TRUNCATE of one is not. A list of
-- columns leaves no change out: UPDATE is published whatever columns it changes. A table that is
-- named beside "all tables" can only be an exception, as later servers may have.
WITH publication AS (
  SELECT p.oid, p.puballtables, p.pubviaroot FROM pg_catalog.pg_publication p
  WHERE p.pubname OPERATOR(pg_catalog.=) ($1)::pg_catalog.name
    AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
), given AS (
  SELECT r.prrelid AS oid, r.prqual IS NOT NULL OR p.puballtables AS partly, p.pubviaroot
  FROM pg_catalog.pg_publication_rel r
  JOIN publication p ON p.oid OPERATOR(pg_catalog.=) r.prpubid
  UNION ALL
  SELECT c.oid, false, p.pubviaroot
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_publication_namespace n
    ON n.pnnspid OPERATOR(pg_catalog.=) c.relnamespace
  JOIN publication p ON p.oid OPERATOR(pg_catalog.=) n.pnpubid
  UNION ALL
  SELECT c.oid, false, p.pubviaroot
  FROM pg_catalog.pg_class c CROSS JOIN publication p WHERE p.puballtables
)
SELECT g.oid, pg_catalog.bool_or(g.partly), g.pubviaroot
FROM given g JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) g.oid
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.=) 'p'
  AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
GROUP BY g.oid, g.pubviaroot
