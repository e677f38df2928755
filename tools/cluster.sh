#!/usr/bin/env bash
# cluster.sh start DIR [SETTING=VALUE…] | stop DIR | drop DIR
#
# A throw-away PostgreSQL in DIR: data in DIR/data, log in DIR/log, socket in DIR. It listens on that socket only, and only the user
# that it belongs to (and root) can reach it, so anyone who connects is trusted: psql -h DIR -U postgres.
# `start` makes it when it is not there; settings are appended to postgresql.conf. `drop` also removes DIR.
# PG_CONFIG says which PostgreSQL; private-postgres.sh makes one whose extensions are its own.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -ge 2 ] || die "usage: cluster.sh start DIR [SETTING=VALUE…] | stop DIR | drop DIR"
verb=$1 dir=$2
shift 2
bin=$("${PG_CONFIG:-pg_config}" --bindir)

start() {
  server_folder "$dir"
  if [ ! -e "$dir/data/PG_VERSION" ]; then
    as_server "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync > "$dir/initdb.log" ||
      { cat "$dir/initdb.log" >&2; die "initdb failed"; }
    set -- listen_addresses= "unix_socket_directories=$dir" "$@"
  fi
  local setting
  for setting in "$@"; do
    printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}" >> "$dir/data/postgresql.conf"
  done
  as_server "$bin/pg_ctl" start -w -s -D "$dir/data" -l "$dir/log" ||
    { tail -20 "$dir/log" >&2; die "PostgreSQL did not start; its log is $dir/log"; }
}

stop() {
  [ -e "$dir/data/postmaster.pid" ] || return 0
  as_server "$bin/pg_ctl" stop -w -s -m fast -D "$dir/data" || as_server "$bin/pg_ctl" stop -w -s -m immediate -D "$dir/data"
}

case $verb in
  start) start "$@" ;;
  stop) stop ;;
  drop)
    stop
    rm -rf "$dir"
    ;;
  *) die "unknown verb \"$verb\"" ;;
esac
