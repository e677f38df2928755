#!/usr/bin/env bash
# majors.sh PG_CONFIG…: builds the extension for each of these PostgreSQLs and runs its SQL tests against it: regress, isolation, and
# pgtap where that PostgreSQL has it.
#
# The extension is installed into them, so give it ones that nobody works with; user postgres must be able to read them. Each has
# a copy of the checkout to itself, build/majors/MAJOR, with its logs in build/check there. Ends with 1 when a test failed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -ge 1 ] || die "usage: majors.sh PG_CONFIG…"
# Ours suffice (see the Makefile); those that a PostgreSQL was configured with may not be known to the compiler here.
export MAKEFLAGS='-- CXXFLAGS=-g CFLAGS=-g'

failed=()
for pg_config in "$@"; do
  version=$("$pg_config" --version)
  major=$(sed -E 's/[^0-9]*([0-9]+).*/\1/' <<< "$version")
  copy=$build/majors/$major
  say "$version ($pg_config)"
  mkdir -p "$copy"
  rsync -a --delete --exclude=/build --exclude=/.git "$root/" "$copy/"
  suites=(regress isolation)
  if [ -e "$("$pg_config" --sharedir)/extension/pgtap.control" ]; then suites+=(pgtap); fi
  CONVEYOR_PG_CONFIG=$pg_config "$copy/tests/run" "${suites[@]}" || failed+=("$major")
done
[ ${#failed[@]} = 0 ] || die "tests failed with PostgreSQL ${failed[*]}; their logs are in $build/majors/MAJOR/build/check"
