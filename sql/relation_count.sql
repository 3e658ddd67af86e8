-- How many rows relations.sql would give: asked first, so that a huge catalog is refused unread.
SELECT pg_catalog.count(*)
FROM pg_catalog.pg_class c
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
