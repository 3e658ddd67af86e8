-- The cluster's own identifier, made by initdb and kept by its standbys. Where we may ask for it.
SELECT s.system_identifier FROM pg_catalog.pg_control_system() s
