-- Which relation leads to which, by kind: v a view's query mentions it, w another rule does, i an
-- inheritance parent has this child, p a partition has this parent, f a foreign key to the first
-- changes rows of the second by cascade, k a foreign key that only checks, s a view's query or a
-- rule names a table of the system, which pg_depend does not record (not so pg_settings).
-- A partition's own copies of its parent's foreign keys say nothing new.
SELECT DISTINCT CASE WHEN r.ev_type OPERATOR(pg_catalog.=) '1' THEN 'v' ELSE 'w' END,
       r.ev_class, d.refobjid
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
 AND d.objid OPERATOR(pg_catalog.=) r.oid
WHERE r.oid OPERATOR(pg_catalog.>=) 16384
  AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.refobjid OPERATOR(pg_catalog.<>) r.ev_class
UNION ALL
SELECT CASE WHEN c.relispartition THEN 'p' ELSE 'i' END,
       CASE WHEN c.relispartition THEN i.inhrelid ELSE i.inhparent END,
       CASE WHEN c.relispartition THEN i.inhparent ELSE i.inhrelid END
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
WHERE c.relkind OPERATOR(pg_catalog.<>) ALL ('{i,I}'::pg_catalog."char"[])
UNION ALL
SELECT DISTINCT CASE WHEN k.confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog."char"[])
              OR k.confupdtype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog."char"[])
            THEN 'f' ELSE 'k' END,
       k.confrelid, k.conrelid
FROM pg_catalog.pg_constraint k
WHERE k.contype OPERATOR(pg_catalog.=) 'f'
  AND k.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
UNION ALL
SELECT DISTINCT 's', r.ev_class, r.ev_class
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.ev_class
WHERE r.oid OPERATOR(pg_catalog.>=) 16384 AND c.relkind OPERATOR(pg_catalog.<>) 'm'
  AND r.ev_action::pg_catalog.text OPERATOR(pg_catalog.~) pg_catalog.concat(
        ':relid (?!', 'pg_catalog.pg_settings'::pg_catalog.regclass::pg_catalog.oid,
        ' )([1-9]\d{0,3}|1[0-5]\d{3}|16[0-2]\d{2}|163[0-7]\d|1638[0-3]) ')
