-- Types whose input and output depend on their bytes, on tracked settings, and on what only DDL
-- changes: these built-in ones, enums, domains over either without a check, and arrays of them. Not
-- money (lc_monetary), timetz (input depends on the date), reg* and aclitem (catalog), refcursor,
-- record, pg_node_tree.
WITH plain AS (
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
  SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typtype OPERATOR(pg_catalog.=) 'e'
), with_domains AS (
  SELECT p.oid FROM plain p
  UNION ALL
  SELECT t.oid
  FROM pg_catalog.pg_type t JOIN plain p ON t.typbasetype OPERATOR(pg_catalog.=) p.oid
  WHERE t.typtype OPERATOR(pg_catalog.=) 'd'
    AND t.oid NOT IN (SELECT k.contypid FROM pg_catalog.pg_constraint k)
)
SELECT d.oid FROM with_domains d
UNION ALL
SELECT t.oid
FROM pg_catalog.pg_type t JOIN with_domains d ON t.typelem OPERATOR(pg_catalog.=) d.oid
WHERE t.typcategory OPERATOR(pg_catalog.=) 'A'
