-- Server process $1 (put in as a number), if there is one, when it began, and how many seconds
-- ago: a later process may get the same number. The time is hidden from roles without
-- pg_read_all_stats, which only makes us wait longer in that rare case. The entry goes away after
-- the process has ended its transaction.
SELECT a.pid, a.backend_start,
       pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()
         OPERATOR(pg_catalog.-) a.backend_start))::pg_catalog.int8
FROM pg_catalog.pg_stat_get_activity($1) a
