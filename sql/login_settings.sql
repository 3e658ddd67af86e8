-- What sessions log in with: whether transactions that do not say otherwise are READ COMMITTED (the
-- cluster's default is, and no role or database has one of its own; the connection itself has none
-- either, then), and one text that changes with any setting of a role, a database or the cluster.
SELECT s.reset_val OPERATOR(pg_catalog.=) 'read committed' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting x
    CROSS JOIN LATERAL pg_catalog.unnest(x.setconfig) c(setting)
    WHERE c.setting OPERATOR(pg_catalog.~~*) '%transaction_isolation=%'),
  pg_catalog.md5(pg_catalog.concat(
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', x.setdatabase, x.setrole, x.xmin,
        x.setconfig), ',' ORDER BY x.setdatabase, x.setrole)
     FROM pg_catalog.pg_db_role_setting x),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', d.name, d.reset_val), ','
        ORDER BY d.name)
     FROM pg_catalog.pg_settings d
     WHERE d.context OPERATOR(pg_catalog.=) ANY ('{user,superuser}'::pg_catalog.text[])
       AND d.name OPERATOR(pg_catalog.<>) 'application_name')))
FROM pg_catalog.pg_settings s
WHERE s.name OPERATOR(pg_catalog.=) 'default_transaction_isolation'
