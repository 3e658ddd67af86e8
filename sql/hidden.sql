-- Which stored expressions call a built-in function that may write ($1), may leave session state
-- ($2), moves a sequence ($3) or asks for its value ($4): each a regular expression of OIDs, put in
-- as text. The default of an identity column is no expression: nextval stands for it. Looked for in
-- the parse trees, because pg_depend does not record built-in functions. An UPDATE of pg_settings
-- sets them. Kinds as in calls.sql.
WITH tree AS (
  SELECT CASE WHEN r.ev_type OPERATOR(pg_catalog.=) '1' THEN 'q' ELSE 'w' END AS kind,
         r.ev_class AS owner,
         pg_catalog.concat(r.ev_action::pg_catalog.text, r.ev_qual::pg_catalog.text) AS expression
  FROM pg_catalog.pg_rewrite r
  UNION ALL
  SELECT 'q', p.polrelid,
         pg_catalog.concat(p.polqual::pg_catalog.text, p.polwithcheck::pg_catalog.text)
  FROM pg_catalog.pg_policy p
  UNION ALL
  SELECT 'd', a.adrelid, a.adbin::pg_catalog.text FROM pg_catalog.pg_attrdef a
  UNION ALL
  SELECT 'd', a.attrelid,
         pg_catalog.concat(':funcid ',
           'pg_catalog.nextval'::pg_catalog.regproc::pg_catalog.oid, ' ')
  FROM pg_catalog.pg_attribute a WHERE a.attidentity OPERATOR(pg_catalog.<>) ''
  UNION ALL
  SELECT CASE WHEN k.conrelid OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 't' ELSE 'd' END,
         k.conrelid, k.conbin::pg_catalog.text
  FROM pg_catalog.pg_constraint k
  WHERE k.conbin IS NOT NULL AND k.oid OPERATOR(pg_catalog.>=) 16384
  UNION ALL
  SELECT 'x', i.indrelid,
         pg_catalog.concat(i.indexprs::pg_catalog.text, i.indpred::pg_catalog.text)
  FROM pg_catalog.pg_index i WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
  UNION ALL
  SELECT 'x', p.partrelid, p.partexprs::pg_catalog.text
  FROM pg_catalog.pg_partitioned_table p WHERE p.partexprs IS NOT NULL
  UNION ALL
  -- By JSON, because 13 has no such column.
  SELECT 'x', s.stxrelid, pg_catalog.to_jsonb(s) OPERATOR(pg_catalog.->>) 'stxexprs'
  FROM pg_catalog.pg_statistic_ext s
  UNION ALL
  SELECT 'g', g.tgrelid, g.tgqual::pg_catalog.text
  FROM pg_catalog.pg_trigger g WHERE g.tgqual IS NOT NULL
  UNION ALL
  SELECT 'p', p.oid, p.proargdefaults::pg_catalog.text
  FROM pg_catalog.pg_proc p
  WHERE p.proargdefaults IS NOT NULL AND p.oid OPERATOR(pg_catalog.>=) 16384
  UNION ALL
  SELECT 'o', 0::pg_catalog.oid, t.typdefaultbin::pg_catalog.text
  FROM pg_catalog.pg_type t WHERE t.typdefaultbin IS NOT NULL
  UNION ALL
  SELECT 'd', a.attrelid, t.typdefaultbin::pg_catalog.text
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_attribute a ON a.atttypid OPERATOR(pg_catalog.=) t.oid
  WHERE t.typdefaultbin IS NOT NULL
), judged AS (
  SELECT t.kind, t.owner, t.expression OPERATOR(pg_catalog.~) $1 AS writes,
         t.expression OPERATOR(pg_catalog.~) $2
           OR t.expression OPERATOR(pg_catalog.~) pg_catalog.concat(
                ':relid ', 'pg_catalog.pg_settings'::pg_catalog.regclass::pg_catalog.oid, ' ')
           AS leaves_state,
         t.expression OPERATOR(pg_catalog.~) $3 AS moves,
         t.expression OPERATOR(pg_catalog.~) $4 AS asks
  FROM tree t
)
SELECT j.kind, j.owner, j.writes, j.leaves_state, j.moves, j.asks
FROM judged j WHERE j.writes OR j.leaves_state OR j.moves OR j.asks
