-- Settings of a control connection. The time limits stand here too because ours end only our
-- waiting. search_path is left alone: search_paths.sql looks at where its default comes from.
SET statement_timeout = '65s';
SET idle_in_transaction_session_timeout = '70s';
SET lock_timeout = '5s';
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET default_transaction_read_only = on;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
