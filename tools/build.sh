# Sourced after common.sh: builds the product under build/, so that the checkout stays as it is. Progress goes to stdout.
# shellcheck shell=bash disable=SC2154

# Brings build/tree up to the checkout; objects in it are kept, so that only what changed is compiled again.
sync_tree() {
  mkdir -p "$build/tree"
  rsync -a --delete --exclude=/build --exclude=/.git --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude=__pycache__ \
    --include='/extension/pg_conveyor--*--*.sql' --exclude='/extension/pg_conveyor--*.sql' "$root/" "$build/tree/"
}

# logged LOG COMMAND…: keeps the output in LOG; shows which files are compiled, one line for five; everything when it failed.
logged() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" 2>&1 | tee "$log" |
    awk '/\.cpp(\.o)?$/ && / -c |Building/ { if (n++ % 5 == 0) { print "        compiling " $NF " …"; fflush() } }' ||
    { cat "$log" >&2; die "failed: $* (its output is above and in $log)"; }
}

# build_extension PG_CONFIG: compiles the extension and installs it where PG_CONFIG says.
build_extension() {
  say "building the extension"
  sync_tree
  logged "$build/log/extension.log" make -C "$build/tree" -j "$(nproc)" --no-print-directory AGENT=no PG_CONFIG="$1" all
  logged "$build/log/install.log" make -C "$build/tree" --no-print-directory AGENT=no PG_CONFIG="$1" install
}

# build_agent DIR [CMAKE-OPTION…]: compiles the agent in DIR.
build_agent() {
  local dir=$1
  shift
  say "building the agent"
  logged "$build/log/cmake.log" cmake -S "$root" -B "$dir" -G Ninja "$@"
  logged "$build/log/agent.log" cmake --build "$dir"
}

# private_postgres FOLDER: prints the pg_config of a private PostgreSQL in FOLDER (see private-postgres.sh).
private_postgres() { "$root/tools/private-postgres.sh" "$1/postgresql"; }
