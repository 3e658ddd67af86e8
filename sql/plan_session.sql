-- The last settings of a connection that asks for a plan, behind those of the session whose
-- statement it is: nothing is written, no lock is waited for, and it is over soon.
SET default_transaction_read_only = on;
SET statement_timeout = '2s';
SET lock_timeout = '100ms';
SET idle_in_transaction_session_timeout = '10s';
