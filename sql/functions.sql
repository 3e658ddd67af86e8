-- Every function, procedure and aggregate. `extension` is the one it belongs to. For aggregates,
-- `parts` are the functions they are made of, of which pg_depend does not know built-in ones. A
-- built-in one that is not volatile but takes or gives what is no plain type ($1, plain_types.sql),
-- like all of its name and number of arguments, has the volatility x: a literal may become a timetz
-- there without a word of it. Names of text search configurations mean what only DDL changes.
-- The last column: of the extensions $2, and takes and gives plain types alone, or what only code
-- in C can be given. Aggregates come behind what they are made of.
WITH plain AS (
  $1
), known AS (
  SELECT p.oid FROM plain p WHERE p.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
  UNION ALL
  SELECT t.oid FROM pg_catalog.pg_type t
  WHERE t.typtype OPERATOR(pg_catalog.=) 'p' OR t.oid OPERATOR(pg_catalog.=) ANY (ARRAY[
    'pg_catalog.regconfig'::pg_catalog.regtype, 'pg_catalog.regdictionary'::pg_catalog.regtype]
    ::pg_catalog.oid[])
), given AS (
  SELECT p.oid FROM plain p
  UNION ALL
  SELECT t.oid FROM pg_catalog.pg_type t
  WHERE t.oid OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog.internal'::pg_catalog.regtype,
    'pg_catalog.cstring'::pg_catalog.regtype]::pg_catalog.oid[])
), odd AS (
  SELECT p.proname, p.pronargs
  FROM pg_catalog.pg_proc p
  WHERE p.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
    AND p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
  GROUP BY p.proname, p.pronargs
  HAVING pg_catalog.bool_and(NOT pg_catalog.array_append(
           COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[]), p.prorettype)
         OPERATOR(pg_catalog.<@) ARRAY(SELECT k.oid FROM known k))
)
SELECT p.oid, p.pronamespace, p.proname,
       CASE WHEN o.proname IS NOT NULL AND p.provolatile OPERATOR(pg_catalog.<>) 'v' THEN 'x'
            ELSE p.provolatile END, p.prokind, l.lanname, e.extname,
       p.oid OPERATOR(pg_catalog.<) 16384
         AND p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace,
       CASE WHEN p.oid OPERATOR(pg_catalog.>=) 16384 AND a.aggfnoid IS NOT NULL THEN
         pg_catalog.concat_ws(',', a.aggtransfn::pg_catalog.oid, a.aggfinalfn::pg_catalog.oid,
           a.aggcombinefn::pg_catalog.oid, a.aggserialfn::pg_catalog.oid,
           a.aggdeserialfn::pg_catalog.oid, a.aggmtransfn::pg_catalog.oid,
           a.aggminvtransfn::pg_catalog.oid, a.aggmfinalfn::pg_catalog.oid) END,
       e.extname IS NOT NULL AND e.extname OPERATOR(pg_catalog.=) ANY ('$2'::pg_catalog.name[])
         AND pg_catalog.array_append(
           COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[]), p.prorettype)
           OPERATOR(pg_catalog.<@) ARRAY(SELECT g.oid FROM given g)
         AND (a.agginitval IS NULL
           OR a.aggtranstype OPERATOR(pg_catalog.=) 'pg_catalog.float8[]'::pg_catalog.regtype)
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid::pg_catalog.oid OPERATOR(pg_catalog.=) p.oid
LEFT JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
 AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
 AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
LEFT JOIN odd o ON o.proname OPERATOR(pg_catalog.=) p.proname
 AND o.pronargs OPERATOR(pg_catalog.=) p.pronargs
 AND p.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
 AND p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
ORDER BY p.prokind OPERATOR(pg_catalog.=) 'a'
