#!/usr/bin/env bash
# settings-reference.sh [--check] CONNINFO
#
# Writes docs/settings.md from what the extension itself says: pg_settings and conveyor.option_definition of a database that has
# it. With --check it changes nothing and exits 1, showing the difference, when the page is out of date.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

check=no
if [ "${1:-}" = --check ]; then
  check=yes
  shift
fi
[ $# = 1 ] || die "usage: settings-reference.sh [--check] CONNINFO"
page=$root/docs/settings.md

generate() {
  cat << 'END'
<!-- Made by tools/settings-reference.sh from the extension itself; do not edit. -->
# Settings

[Settings of the server](#settings-of-the-server) hold for a whole cluster, database or role; [options](#options) belong to one target, feed, delivery, migration or job;
[the agent](#the-agent) has its command line and a file.

END
  psql -XAtq -v ON_ERROR_STOP=1 -d "$1" -f "$root/tools/settings-reference.sql"
  cat "$root/tools/settings-reference.agent.md"
}

made=$(generate "$1")
if [ $check = no ]; then
  printf '%s\n' "$made" > "$page"
elif ! diff -u --label docs/settings.md --label 'what the extension says' "$page" <(printf '%s\n' "$made"); then
  die "docs/settings.md is out of date: run tools/settings-reference.sh CONNINFO on a database with the extension"
fi
