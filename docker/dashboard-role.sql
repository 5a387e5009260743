-- A user for the dashboard who may read every table and write none. PostgreSQL runs this once, when the database is new.
\set password `cat "$DASHBOARD_PASSWORD_FILE"`
CREATE ROLE dashboard LOGIN PASSWORD :'password' IN ROLE pg_read_all_data;
