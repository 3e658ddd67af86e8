-- The schemas named for the publication p, as a part of publication.sql: servers before PostgreSQL
-- 15 know none.
(SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(
          pg_catalog.hashtextextended(n.xmin::pg_catalog.text, n.oid::pg_catalog.int8)))
 FROM pg_catalog.pg_publication_namespace n
 WHERE n.pnpubid OPERATOR(pg_catalog.=) p.oid)
