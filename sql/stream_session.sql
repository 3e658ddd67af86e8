-- Settings of the connection that asks how far the server is. It must not wait for a standby.
SET statement_timeout = '10s';
SET lock_timeout = '5s';
SET client_encoding = 'UTF8';
SET synchronous_commit = local;
SET default_transaction_read_only = off;
