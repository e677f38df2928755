#!/usr/bin/env bash
# private-postgres.sh DIR [MAJOR=15]
#
# Makes DIR/usr/lib/postgresql/MAJOR a private copy of Debian's PostgreSQL and prints the path of its pg_config.
# PostgreSQL finds its libraries and extensions relative to its own binaries, so an extension that is installed through
# this pg_config is seen by servers started from this copy only: nothing outside DIR changes, and several copies
# (a test run, a demo, a benchmark) never disturb each other or the machine's own PostgreSQL.
set -euo pipefail

dir=$1 major=${2:-15}
root=$dir/usr/lib/postgresql/$major
if [ ! -x "$root/bin/postgres" ]; then
  mkdir -p "$dir/usr/lib/postgresql" "$dir/usr/share/postgresql" "$dir/usr/include/postgresql"
  cp -a "/usr/lib/postgresql/$major" "$dir/usr/lib/postgresql/"
  cp -a "/usr/share/postgresql/$major" "$dir/usr/share/postgresql/"
  ln -sfn "/usr/include/postgresql/$major" "$dir/usr/include/postgresql/$major"
fi
echo "$root/bin/pg_config"
