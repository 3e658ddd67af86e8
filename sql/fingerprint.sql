-- One text that changes with every committed DDL, GRANT or setting that matters to the catalog
-- read. Most parts hash (oid, xmin) of each row: a row version that a later snapshot sees and an
-- earlier one did not has another xmin, whatever was done to it; in-place changes (ANALYZE, VACUUM)
-- keep it. A maximum of xmin would not do: transactions commit out of order. Relations are hashed
-- by their columns instead, so that TRUNCATE, VACUUM FULL and CLUSTER, which give a table a new
-- file, are not seen; a materialized view's new file is: it is a REFRESH. Temporary relations
-- belong to sessions and indexes change no answer: they and their parts are left out, but for what
-- unique ones say of rows' identities. 20,000 tables
-- of 8 columns: 0.25 s.
WITH relation AS MATERIALIZED (
  SELECT c.oid FROM pg_catalog.pg_class c
  WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog."char"[])
    AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
), part AS (
  SELECT 'relation'::pg_catalog.text AS name, pg_catalog.count(*) AS n,
         pg_catalog.sum(pg_catalog.hashtextextended(ROW(c.relname, c.relnamespace, c.relkind,
           c.relpersistence, c.relam, c.relowner, c.relacl, c.relrowsecurity,
           c.relforcerowsecurity, c.relispartition, c.relreplident, c.reloptions, c.relpartbound,
           CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'm' THEN c.relfilenode
           END)::pg_catalog.text, c.oid::pg_catalog.int8)) AS h
  FROM pg_catalog.pg_class c
  WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog."char"[])
    AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
  UNION ALL
  SELECT 'role', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(ROW(r.rolname, r.rolsuper, r.rolinherit,
           r.rolcanlogin, r.rolbypassrls)::pg_catalog.text, r.oid::pg_catalog.int8))
  FROM pg_catalog.pg_roles r
  UNION ALL
  SELECT 'setting', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(ROW(s.name, s.reset_val)::pg_catalog.text, 0))
  FROM pg_catalog.pg_settings s
  WHERE s.context OPERATOR(pg_catalog.=) ANY ('{user,superuser}'::pg_catalog.text[])
    AND s.name OPERATOR(pg_catalog.<>) 'application_name'
  UNION ALL
  SELECT 'attribute', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.attrelid::pg_catalog.int8
           OPERATOR(pg_catalog.*) 65536 OPERATOR(pg_catalog.+) x.attnum))
  FROM pg_catalog.pg_attribute x
  WHERE x.attnum OPERATOR(pg_catalog.>) 0
    AND x.attrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'attrdef', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_attrdef x
  WHERE x.adrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'trigger', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_trigger x
  WHERE x.tgrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'rewrite', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_rewrite x
  WHERE x.ev_class IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'policy', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_policy x
  WHERE x.polrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'constraint', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_constraint x
  WHERE x.conrelid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
    OR x.conrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'index', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.indexrelid::pg_catalog.int8))
  FROM pg_catalog.pg_index x
  WHERE (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL)
    AND x.indrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'statistics', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_statistic_ext x
  WHERE x.stxrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'identity', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(ROW(x.indisprimary, x.indisreplident,
           x.indisvalid, x.indimmediate, x.indnkeyatts, x.indkey)::pg_catalog.text,
           x.indrelid::pg_catalog.int8))
  FROM pg_catalog.pg_index x
  WHERE x.indisunique AND x.indrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'inherits', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.inhrelid::pg_catalog.int8
           OPERATOR(pg_catalog.*) 65536 OPERATOR(pg_catalog.+) x.inhseqno))
  FROM pg_catalog.pg_inherits x
  WHERE x.inhrelid IN (SELECT c.oid FROM relation c)
  UNION ALL
  SELECT 'partitioned_table', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.partrelid::pg_catalog.int8))
  FROM pg_catalog.pg_partitioned_table x
  UNION ALL
  SELECT 'type', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_type x
  WHERE x.typrelid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
    AND x.typcategory OPERATOR(pg_catalog.<>) 'A'
  UNION ALL
  SELECT 'namespace', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_namespace x
  WHERE NOT (x.nspname OPERATOR(pg_catalog.~) '^pg_(toast_)?temp_')
  UNION ALL
  SELECT 'proc', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_proc x
  UNION ALL
  SELECT 'operator', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_operator x
  UNION ALL
  SELECT 'cast', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_cast x
  UNION ALL
  SELECT 'opclass', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_opclass x
  UNION ALL
  SELECT 'opfamily', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_opfamily x
  UNION ALL
  SELECT 'amop', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_amop x
  UNION ALL
  SELECT 'amproc', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_amproc x
  UNION ALL
  SELECT 'enum', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_enum x
  UNION ALL
  SELECT 'collation', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_collation x
  UNION ALL
  SELECT 'conversion', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_conversion x
  UNION ALL
  SELECT 'language', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_language x
  UNION ALL
  SELECT 'transform', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_transform x
  UNION ALL
  SELECT 'event_trigger', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_event_trigger x
  UNION ALL
  SELECT 'extension', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_extension x
  UNION ALL
  SELECT 'ts_config', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_ts_config x
  UNION ALL
  SELECT 'ts_dict', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_ts_dict x
  UNION ALL
  SELECT 'ts_parser', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_ts_parser x
  UNION ALL
  SELECT 'ts_template', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_ts_template x
  UNION ALL
  SELECT 'publication', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_publication x
  UNION ALL
  SELECT 'publication_rel', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.oid::pg_catalog.int8))
  FROM pg_catalog.pg_publication_rel x
  UNION ALL
  SELECT 'aggregate', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.aggfnoid::pg_catalog.oid::pg_catalog.int8))
  FROM pg_catalog.pg_aggregate x
  UNION ALL
  SELECT 'range', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.rngtypid::pg_catalog.int8))
  FROM pg_catalog.pg_range x
  UNION ALL
  SELECT 'ts_config_map', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.mapcfg::pg_catalog.int8
           OPERATOR(pg_catalog.*) 65536 OPERATOR(pg_catalog.+) x.maptokentype))
  FROM pg_catalog.pg_ts_config_map x
  UNION ALL
  SELECT 'auth_members', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.roleid::pg_catalog.int8
           OPERATOR(pg_catalog.*) 65536 OPERATOR(pg_catalog.+) x.member::pg_catalog.int8))
  FROM pg_catalog.pg_auth_members x
  UNION ALL
  SELECT 'db_role_setting', pg_catalog.count(*),
         pg_catalog.sum(pg_catalog.hashtextextended(x.xmin::pg_catalog.text,
           x.setdatabase::pg_catalog.int8
           OPERATOR(pg_catalog.*) 65536 OPERATOR(pg_catalog.+) x.setrole::pg_catalog.int8))
  FROM pg_catalog.pg_db_role_setting x
)
SELECT pg_catalog.md5(pg_catalog.string_agg(
         pg_catalog.concat_ws(':', p.name, p.n, p.h), ',' ORDER BY p.name COLLATE pg_catalog."C"))
FROM part p
