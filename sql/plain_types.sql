-- Types whose input and output depend on their bytes, on tracked settings, and on what only DDL
-- changes: these built-in ones, enums, domains over either without a check, and arrays of them.
-- Not money (lc_monetary), timetz (input depends on the date), reg* and aclitem (catalog),
-- refcursor, record, pg_node_tree. Not types from or to which users made a cast, or for which a
-- default operator class for sorting and grouping, that may depend on more than the value: an
-- expression may use these unseen; nor what is silently taken for another type, which may have such
-- a class. What the extensions $2 bring was looked at: their types are plain, too. None at all if
-- both ends of such a cast, or what a class is for, are built in, since any expression may have
-- such a type.
WITH brought AS (
  SELECT d.classid, d.objid
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
  WHERE d.deptype OPERATOR(pg_catalog.=) 'e'
    AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
    AND e.extname OPERATOR(pg_catalog.=) ANY ('$2'::pg_catalog.name[])
), code AS (
  SELECT p.oid
  FROM brought b
  JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) b.objid
  JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
  WHERE b.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
    AND p.provolatile OPERATOR(pg_catalog.=) 'i'
    AND l.lanname OPERATOR(pg_catalog.=) ANY ('{c,internal}'::pg_catalog.name[])
), odd_family AS (
  SELECT s.amprocfamily AS oid
  FROM pg_catalog.pg_amproc s
  WHERE s.amproc::pg_catalog.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    AND s.amproc::pg_catalog.oid NOT IN (SELECT k.oid FROM code k)
  UNION ALL
  SELECT s.amopfamily
  FROM pg_catalog.pg_amop s
  JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) s.amopopr
  WHERE o.oprcode::pg_catalog.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    AND o.oprcode::pg_catalog.oid NOT IN (SELECT k.oid FROM code k)
), odd_pair AS (
  SELECT c.castsource AS source, c.casttarget AS target
  FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) c.casttarget
  WHERE c.oid OPERATOR(pg_catalog.>=) 16384
    AND (c.castmethod OPERATOR(pg_catalog.=) 'f'
         AND c.castfunc NOT IN (SELECT k.oid FROM code k)
         AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_proc p
           WHERE p.oid OPERATOR(pg_catalog.=) c.castfunc AND p.oid OPERATOR(pg_catalog.<) 16384
             AND p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
             AND p.provolatile OPERATOR(pg_catalog.=) 'i')
      OR c.castmethod OPERATOR(pg_catalog.=) 'i'
         AND t.typtype OPERATOR(pg_catalog.<>) 'e'
         AND NOT (t.oid OPERATOR(pg_catalog.<) 16384
              AND t.typname OPERATOR(pg_catalog.=) ANY ('{bool,bytea,name,int8,int2,int4,text,oid,
                json,jsonb,float4,float8,numeric,bpchar,varchar,bit,varbit,uuid}'::
                pg_catalog.name[])))
  UNION ALL
  SELECT o.opcintype, o.opcintype
  FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) o.opcmethod
  WHERE o.oid OPERATOR(pg_catalog.>=) 16384 AND o.opcdefault
    AND m.amname OPERATOR(pg_catalog.=) ANY ('{btree,hash}'::pg_catalog.name[])
    AND (o.opcfamily IN (SELECT f.oid FROM odd_family f)
      OR o.oid NOT IN (
        SELECT b.objid FROM brought b
        WHERE b.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_opclass'::pg_catalog.regclass))
), odd_end AS (
  SELECT o.source AS oid FROM odd_pair o
  UNION ALL
  SELECT o.target FROM odd_pair o
), odd AS (
  SELECT e.oid FROM odd_end e
  UNION ALL
  SELECT t.typelem FROM pg_catalog.pg_type t JOIN odd_end e ON e.oid OPERATOR(pg_catalog.=) t.oid
  WHERE t.typcategory OPERATOR(pg_catalog.=) 'A'
), taken_for AS (
  SELECT c.castsource AS oid FROM pg_catalog.pg_cast c
  WHERE c.oid OPERATOR(pg_catalog.>=) 16384
    AND c.castmethod OPERATOR(pg_catalog.=) 'b' AND c.castcontext OPERATOR(pg_catalog.=) 'i'
    AND c.oid NOT IN (
      SELECT b.objid FROM brought b
      WHERE b.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_cast'::pg_catalog.regclass)
), plain AS (
  SELECT t.oid
  FROM pg_catalog.pg_type t
  WHERE t.oid OPERATOR(pg_catalog.<) 16384
    AND t.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
    AND t.typname OPERATOR(pg_catalog.=) ANY ('{bool,bytea,char,name,int8,int2,int4,text,oid,tid,
      xid,cid,xid8,json,jsonb,jsonpath,xml,point,lseg,path,box,polygon,line,circle,cidr,inet,
      macaddr,
      macaddr8,float4,float8,numeric,bpchar,varchar,date,time,timestamp,timestamptz,interval,bit,
      varbit,uuid,pg_lsn,pg_snapshot,txid_snapshot,tsvector,tsquery,int4range,int8range,numrange,
      tsrange,tstzrange,daterange,int4multirange,int8multirange,nummultirange,tsmultirange,
      tstzmultirange,datemultirange}'::pg_catalog.name[])
  UNION ALL
  SELECT t.oid FROM pg_catalog.pg_type t
  WHERE t.typtype OPERATOR(pg_catalog.=) 'e' AND t.oid NOT IN (SELECT o.oid FROM odd o)
  UNION ALL
  SELECT t.oid
  FROM brought b JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) b.objid
  WHERE b.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
    AND t.typtype OPERATOR(pg_catalog.=) 'b' AND t.typcategory OPERATOR(pg_catalog.<>) 'A'
    AND t.typinput::pg_catalog.oid IN (SELECT k.oid FROM code k)
    AND t.typoutput::pg_catalog.oid IN (SELECT k.oid FROM code k)
    AND t.oid NOT IN (SELECT o.oid FROM odd o)
), with_domains AS (
  SELECT p.oid FROM plain p WHERE p.oid NOT IN (SELECT f.oid FROM taken_for f)
  UNION ALL
  SELECT t.oid
  FROM pg_catalog.pg_type t JOIN plain p ON t.typbasetype OPERATOR(pg_catalog.=) p.oid
  WHERE p.oid NOT IN (SELECT f.oid FROM taken_for f)
    AND t.typtype OPERATOR(pg_catalog.=) 'd'
    AND t.oid NOT IN (SELECT k.contypid FROM pg_catalog.pg_constraint k)
    AND t.oid NOT IN (SELECT o.oid FROM odd o)
), with_arrays AS (
  SELECT d.oid FROM with_domains d
  UNION ALL
  SELECT t.oid
  FROM pg_catalog.pg_type t JOIN with_domains d ON t.typelem OPERATOR(pg_catalog.=) d.oid
  WHERE t.typcategory OPERATOR(pg_catalog.=) 'A'
    AND t.oid NOT IN (SELECT f.oid FROM taken_for f)
)
SELECT a.oid FROM with_arrays a
WHERE NOT EXISTS (SELECT FROM odd_pair o WHERE o.source OPERATOR(pg_catalog.<) 16384
                    AND o.target OPERATOR(pg_catalog.<) 16384)
