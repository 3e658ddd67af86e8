-- The secret of one role, and for how long it is valid. $1 is its name, always a parameter. Every
-- name is qualified, so no search_path can lead the query elsewhere. Needs rights on pg_authid.
SELECT r.rolname, r.rolpassword,
       CASE WHEN r.rolvaliduntil OPERATOR(pg_catalog.=) '-infinity'::pg_catalog.timestamptz
            THEN '-1'
            WHEN pg_catalog.isfinite(r.rolvaliduntil)
            THEN pg_catalog.date_part('epoch', r.rolvaliduntil OPERATOR(pg_catalog.-)
                                               pg_catalog.clock_timestamp())::pg_catalog.text
       END
FROM pg_catalog.pg_authid AS r
WHERE r.rolname OPERATOR(pg_catalog.=) $1::pg_catalog.name AND r.rolcanlogin
