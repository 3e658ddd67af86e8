-- Every relation a statement can name, with what decides whether reading or writing it is simple.
-- Each flag is a hashed anti or semi join, so the cost is linear. $1 is plain_types.sql, put in as
-- text. What logical decoding shows of a table that is no heap is its access method's affair, and
-- with citus a table's rows change under the names of its shards: both count as unlogged.
WITH plain AS (
  $1
), cast_end AS (
  SELECT k.castsource AS oid FROM pg_catalog.pg_cast k
  WHERE k.oid OPERATOR(pg_catalog.>=) 16384 AND k.castmethod OPERATOR(pg_catalog.<>) 'b'
  UNION ALL
  SELECT k.casttarget FROM pg_catalog.pg_cast k
  WHERE k.oid OPERATOR(pg_catalog.>=) 16384 AND k.castmethod OPERATOR(pg_catalog.<>) 'b'
  UNION ALL
  SELECT o.opcintype FROM pg_catalog.pg_opclass o WHERE o.oid OPERATOR(pg_catalog.>=) 16384
), cast_row AS (
  SELECT t.typrelid AS oid
  FROM pg_catalog.pg_type t JOIN cast_end e ON e.oid OPERATOR(pg_catalog.=) t.oid
  WHERE t.typrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
  UNION ALL
  SELECT r.typrelid
  FROM pg_catalog.pg_type t JOIN cast_end e ON e.oid OPERATOR(pg_catalog.=) t.oid
  JOIN pg_catalog.pg_type r ON r.oid OPERATOR(pg_catalog.=) t.typelem
  WHERE t.typcategory OPERATOR(pg_catalog.=) 'A'
    AND r.typrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
)
SELECT c.oid, c.relnamespace, c.relname, c.relkind,
       CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}'::pg_catalog."char"[])
             AND (c.relam OPERATOR(pg_catalog.<>) 2::pg_catalog.oid
               OR EXISTS (SELECT FROM pg_catalog.pg_extension x
                          WHERE x.extname OPERATOR(pg_catalog.=) 'citus'))
            THEN 'u' ELSE c.relpersistence END,
       c.relnamespace OPERATOR(pg_catalog.=) ANY (ARRAY(
         SELECT n.oid FROM pg_catalog.pg_namespace n
         WHERE n.nspname OPERATOR(pg_catalog.=) ANY
           ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[]))),
       c.relrowsecurity,
       c.oid IN (SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal),
       c.oid IN (SELECT r.ev_class FROM pg_catalog.pg_rewrite r
                 WHERE r.ev_type OPERATOR(pg_catalog.<>) '1'
                    OR r.rulename OPERATOR(pg_catalog.<>) '_RETURN'),
       c.relispartition OR c.relkind OPERATOR(pg_catalog.=) 'p'
         OR c.oid IN (SELECT i.inhrelid FROM pg_catalog.pg_inherits i)
         OR c.oid IN (SELECT i.inhparent FROM pg_catalog.pg_inherits i),
       c.oid IN (SELECT k.confrelid FROM pg_catalog.pg_constraint k
                 WHERE k.contype OPERATOR(pg_catalog.=) 'f'
                   AND (k.confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog."char"[])
                     OR k.confupdtype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog."char"[]))),
       c.oid NOT IN (SELECT a.attrelid FROM pg_catalog.pg_attribute a
                     WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
                       AND a.atttypid NOT IN (SELECT p.oid FROM plain p))
         -- A whole row may be cast, too.
         AND c.oid NOT IN (SELECT w.oid FROM cast_row w),
       -- One trigger of watch_writes.sql for all that writes: after each statement, in all modes.
       c.oid IN (SELECT t.tgrelid FROM pg_catalog.pg_trigger t
                 JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) t.tgfoid
                 JOIN pg_catalog.pg_namespace n
                   ON n.oid OPERATOR(pg_catalog.=) f.pronamespace
                 WHERE n.nspname OPERATOR(pg_catalog.=) 'pgweir'
                   AND f.proname OPERATOR(pg_catalog.=) 'tell_of_write'
                   AND f.pronargs OPERATOR(pg_catalog.=) 0
                   AND t.tgtype OPERATOR(pg_catalog.=) 60
                   AND t.tgenabled OPERATOR(pg_catalog.=) 'A' AND t.tgqual IS NULL
                   AND COALESCE(pg_catalog.array_length(t.tgattr, 1), 0) OPERATOR(pg_catalog.=) 0)
FROM pg_catalog.pg_class c
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
