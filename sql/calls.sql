-- Who calls which of the users' functions or operators without being a function's body: kind of
-- caller, its relation or object, the function. Kinds: q a view's own query or a policy (reading),
-- w another rule (writing), g a trigger's condition, d default, or check that planning cannot run
-- (writing), x another check, partition key, statistics, index expression or predicate (writing,
-- and reading, too: planning runs what is constant in them), p a function's default arguments or
-- parsed body, o a domain's default, which writes of columns of the domain compute (d for these)
-- and no read does, t what every use of a type, domain, cast or operator class may call. pg_depend
-- records nothing of built-in ones: see hidden.sql.
WITH target AS (
  SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid AS refclassid, p.oid AS refobjid,
         p.oid AS function
  FROM pg_catalog.pg_proc p WHERE p.oid OPERATOR(pg_catalog.>=) 16384
  UNION ALL
  SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid, o.oid,
         o.oprcode::pg_catalog.oid
  FROM pg_catalog.pg_operator o WHERE o.oid OPERATOR(pg_catalog.>=) 16384
), edge AS (
  SELECT d.classid, d.objid, t.function,
         p.provolatile OPERATOR(pg_catalog.<>) 'v' OR l.lanname OPERATOR(pg_catalog.=) 'sql'
           AS planned
  FROM target t
  JOIN pg_catalog.pg_depend d ON d.refclassid OPERATOR(pg_catalog.=) t.refclassid
   AND d.refobjid OPERATOR(pg_catalog.=) t.refobjid
  LEFT JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) t.function
  LEFT JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
  WHERE d.deptype OPERATOR(pg_catalog.=) ANY ('{n,a,i}'::pg_catalog."char"[])
)
SELECT CASE WHEN r.ev_type OPERATOR(pg_catalog.=) '1' THEN 'q' ELSE 'w' END, r.ev_class, e.function
FROM edge e JOIN pg_catalog.pg_rewrite r ON r.oid OPERATOR(pg_catalog.=) e.objid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
UNION ALL
SELECT 'q', p.polrelid, e.function
FROM edge e JOIN pg_catalog.pg_policy p ON p.oid OPERATOR(pg_catalog.=) e.objid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass
UNION ALL
SELECT 'd', a.adrelid, e.function
FROM edge e JOIN pg_catalog.pg_attrdef a ON a.oid OPERATOR(pg_catalog.=) e.objid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
UNION ALL
SELECT CASE WHEN k.conrelid OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 't'
            WHEN e.planned THEN 'x' ELSE 'd' END,
       k.conrelid, e.function
FROM edge e JOIN pg_catalog.pg_constraint k ON k.oid OPERATOR(pg_catalog.=) e.objid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass
UNION ALL
SELECT 'x', i.indrelid, e.function
FROM edge e JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) e.objid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
UNION ALL
SELECT 'x', s.stxrelid, e.function
FROM edge e JOIN pg_catalog.pg_statistic_ext s ON s.oid OPERATOR(pg_catalog.=) e.objid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
UNION ALL
SELECT 'x', e.objid, e.function
FROM edge e JOIN pg_catalog.pg_partitioned_table p ON p.partrelid OPERATOR(pg_catalog.=) e.objid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
UNION ALL
SELECT 'g', g.tgrelid, e.function
FROM edge e JOIN pg_catalog.pg_trigger g ON g.oid OPERATOR(pg_catalog.=) e.objid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass
  AND e.function OPERATOR(pg_catalog.<>) g.tgfoid
UNION ALL
SELECT 'p', e.objid, e.function
FROM edge e
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
UNION ALL
SELECT 'o', 0::pg_catalog.oid, e.function
FROM edge e JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) e.objid
 AND t.typtype OPERATOR(pg_catalog.=) 'd'
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
UNION ALL
SELECT 'd', a.attrelid, e.function
FROM edge e JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) e.objid
 AND t.typtype OPERATOR(pg_catalog.=) 'd'
JOIN pg_catalog.pg_attribute a ON a.atttypid OPERATOR(pg_catalog.=) t.oid
WHERE e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
UNION ALL
SELECT 't', 0::pg_catalog.oid, e.function
FROM edge e
WHERE (e.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_type'::pg_catalog.regclass
    OR NOT EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.=) e.objid
                     AND t.typtype OPERATOR(pg_catalog.=) 'd'))
  AND e.classid OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog.pg_type'::pg_catalog.regclass,
  'pg_catalog.pg_cast'::pg_catalog.regclass, 'pg_catalog.pg_opclass'::pg_catalog.regclass,
  'pg_catalog.pg_opfamily'::pg_catalog.regclass, 'pg_catalog.pg_amproc'::pg_catalog.regclass,
  'pg_catalog.pg_transform'::pg_catalog.regclass]::pg_catalog.oid[])
UNION ALL
-- An operator or cast made by a user may stand for a built-in function; its own name hides it.
SELECT 't', 0::pg_catalog.oid, o.oprcode::pg_catalog.oid
FROM pg_catalog.pg_operator o WHERE o.oid OPERATOR(pg_catalog.>=) 16384
UNION ALL
SELECT 't', 0::pg_catalog.oid, c.castfunc
FROM pg_catalog.pg_cast c WHERE c.oid OPERATOR(pg_catalog.>=) 16384
UNION ALL
SELECT 't', 0::pg_catalog.oid, a.amproc::pg_catalog.oid
FROM pg_catalog.pg_amproc a WHERE a.oid OPERATOR(pg_catalog.>=) 16384
