-- The state of the publication named $1, as a text that changes with whatever is done to it:
-- whether it publishes all that can happen to rows, itself, and the tables and schemas that were
-- named for it, the schemas as $2: published_schemas.sql, or NULL. Nothing where there is none.
-- Without a semicolon: it stands in other queries, too.
-- Asked with every probe of the change stream, to whose 0.07 ms it adds 0.1 with ten tables named
-- one by one, and 0.37 with 1,000.
SELECT pg_catalog.concat_ws(':',
         CASE WHEN p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
              THEN 'all' ELSE 'some' END,
         p.oid, p.xmin,
         (SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(
                   pg_catalog.hashtextextended(r.xmin::pg_catalog.text, r.oid::pg_catalog.int8)))
          FROM pg_catalog.pg_publication_rel r
          WHERE r.prpubid OPERATOR(pg_catalog.=) p.oid),
         $2)
FROM pg_catalog.pg_publication p
WHERE p.pubname OPERATOR(pg_catalog.=) ($1)::pg_catalog.name
