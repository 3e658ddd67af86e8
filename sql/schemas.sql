-- Every schema but the temporary ones, which belong to sessions.
SELECT n.oid, n.nspname
FROM pg_catalog.pg_namespace n
WHERE NOT (n.nspname OPERATOR(pg_catalog.~) '^pg_(toast_)?temp_')
