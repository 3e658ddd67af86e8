-- Default search_path per role, later rows beating earlier ones; the empty role is every other
-- one's. The first row is the cluster's. A connection that got a default of its role or database
-- cannot see past it; then the row is missing. The last column is false for roles that are another
-- role from their login on. Must run before search_path is set in the session.
SELECT v.role, v.value, v.is_path
FROM (
  SELECT ''::pg_catalog.text AS role, s.reset_val AS value, 0 AS rank, true AS is_path
  FROM pg_catalog.pg_settings s
  WHERE s.name OPERATOR(pg_catalog.=) 'search_path'
    AND s.source OPERATOR(pg_catalog.=) ANY ('{default,configuration file,command line,
      environment variable}'::pg_catalog.text[])
  UNION ALL
  SELECT CASE WHEN x.setrole OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN ''
              ELSE pg_catalog.pg_get_userbyid(x.setrole)::pg_catalog.text END,
         pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') OPERATOR(pg_catalog.+) 1),
         CASE WHEN x.setdatabase OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 1 ELSE 2 END,
         c.setting OPERATOR(pg_catalog.~~) 'search_path=%'
  FROM pg_catalog.pg_db_role_setting x
  CROSS JOIN LATERAL pg_catalog.unnest(x.setconfig) c(setting)
  WHERE c.setting OPERATOR(pg_catalog.~) '^(search_path|role|session_authorization)='
    AND x.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid,
          (SELECT d.oid FROM pg_catalog.pg_database d
           WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())])
) v
ORDER BY v.rank
