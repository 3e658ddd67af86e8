-- Whether transactions that do not say otherwise are READ COMMITTED: the cluster's default is,
-- and no role or database has one of its own. The connection itself has none either, then.
SELECT s.reset_val OPERATOR(pg_catalog.=) 'read committed' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting x
    CROSS JOIN LATERAL pg_catalog.unnest(x.setconfig) c(setting)
    WHERE c.setting OPERATOR(pg_catalog.~~*) '%transaction_isolation=%')
FROM pg_catalog.pg_settings s
WHERE s.name OPERATOR(pg_catalog.=) 'default_transaction_isolation'
