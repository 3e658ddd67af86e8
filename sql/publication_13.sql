-- publication.sql for servers before PostgreSQL 15, where schemas cannot be published.
SELECT pg_catalog.concat_ws(':',
         CASE WHEN p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
              THEN 'all' ELSE 'some' END,
         p.oid, p.xmin,
         (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(
                   pg_catalog.hashtextextended(r.xmin::pg_catalog.text, r.oid::pg_catalog.int8)))
          FROM pg_catalog.pg_publication_rel r
          WHERE r.prpubid OPERATOR(pg_catalog.=) p.oid))
FROM pg_catalog.pg_publication p
WHERE p.pubname OPERATOR(pg_catalog.=) ($1)::pg_catalog.name
