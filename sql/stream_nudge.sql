-- A commit of nothing, which has what stands in the log before it written out at once.
SELECT pg_catalog.pg_logical_emit_message(true, 'pgweir', '')
