-- The columns of the replica identity of every ordinary permanent table that has one: of its index,
-- or of its primary key where whole old rows are logged. Only an index the server itself would use:
-- valid, unique, checked at once, of plain columns and all rows. Generated columns would change
-- without being named. By relation: its kind of identity, how many columns it has, and whether no
-- other unique index has as many (ON CONFLICT could mean it otherwise). By column: its number, its
-- place among the columns that exist, its type, and whether equal means equal bytes there as far as
-- the collation goes.
SELECT c.oid, c.relreplident, i.indnkeyatts,
       i.indisprimary AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_index o
         WHERE o.indrelid OPERATOR(pg_catalog.=) c.oid AND o.indisunique
           AND o.indexrelid OPERATOR(pg_catalog.<>) i.indexrelid
           AND o.indnkeyatts OPERATOR(pg_catalog.=) i.indnkeyatts),
       a.attnum,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute b
        WHERE b.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT b.attisdropped
          AND b.attnum OPERATOR(pg_catalog.>) 0 AND b.attnum OPERATOR(pg_catalog.<=) a.attnum),
       a.atttypid, a.attname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) c.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
 AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey)
LEFT JOIN pg_catalog.pg_collation l ON l.oid OPERATOR(pg_catalog.=) a.attcollation
WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND c.relpersistence OPERATOR(pg_catalog.=) 'p'
  AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
  AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END
  AND i.indisvalid AND i.indisunique AND i.indimmediate
  AND i.indpred IS NULL AND i.indexprs IS NULL
  AND pg_catalog.array_position(i.indkey::pg_catalog.int2[], a.attnum)
      OPERATOR(pg_catalog.<) i.indnkeyatts
  AND a.attnotnull AND a.attgenerated OPERATOR(pg_catalog.=) ''
  AND (a.attcollation OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR l.collisdeterministic)
ORDER BY c.oid, a.attnum
