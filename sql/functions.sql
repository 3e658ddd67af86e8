-- Every function, procedure and aggregate. `extension` is the one it belongs to. For aggregates,
-- `parts` are the functions they are made of, of which pg_depend does not know built-in ones.
SELECT p.oid, p.pronamespace, p.proname, p.provolatile, p.prokind, l.lanname, e.extname,
       p.oid OPERATOR(pg_catalog.<) 16384
         AND p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace,
       CASE WHEN p.oid OPERATOR(pg_catalog.>=) 16384 AND a.aggfnoid IS NOT NULL THEN
         pg_catalog.concat_ws(',', a.aggtransfn::pg_catalog.oid, a.aggfinalfn::pg_catalog.oid,
           a.aggcombinefn::pg_catalog.oid, a.aggserialfn::pg_catalog.oid,
           a.aggdeserialfn::pg_catalog.oid, a.aggmtransfn::pg_catalog.oid,
           a.aggminvtransfn::pg_catalog.oid, a.aggmfinalfn::pg_catalog.oid) END
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid::pg_catalog.oid OPERATOR(pg_catalog.=) p.oid
LEFT JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
 AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
 AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
