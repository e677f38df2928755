#!/usr/bin/env bash
# Run by the PostgreSQL image when it makes its data directory. CONVEYOR_AGENT_PASSWORD, when given, makes the login
# conveyor_delivery, which has the role conveyor_agent and nothing else.
set -euo pipefail

query() { psql -v ON_ERROR_STOP=1 -X -q -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@"; }

query -c 'CREATE EXTENSION pg_conveyor'
if [ -n "${CONVEYOR_AGENT_PASSWORD:-}" ]; then
  # Through psql's own environment, so that the password is on no command line.
  query << 'SQL'
\getenv password CONVEYOR_AGENT_PASSWORD
CREATE ROLE conveyor_delivery LOGIN PASSWORD :'password' IN ROLE conveyor_agent;
SQL
fi
