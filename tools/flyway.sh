#!/usr/bin/env bash
# flyway.sh fetch | run ARGUMENT…
#
# Flyway's command line with PostgreSQL's driver, from the artifacts in Maven Central. What is downloaded (5 MB) is kept in
# build/cache, or in $CONVEYOR_CACHE, and is never fetched again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$root/tools/java.sh"

version=11.20.3
lib=$cache/flyway-$version

fetch() {
  if [ -e "$lib/complete" ]; then return; fi
  say "downloading Flyway $version from Maven Central, once (5 MB)"
  rm -rf "$lib"
  mkdir -p "$lib"
  sed "s/@VERSION@/$version/" "$root/tools/flyway.pom.xml" > "$lib/pom.xml"
  download "Flyway" "$lib" -f "$lib/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" -DincludeScope=runtime
  touch "$lib/complete"
}

verb=${1:-}
case $verb in
  fetch) fetch ;;
  run)
    fetch >&2
    shift
    exec "$(find_java 17)" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$lib/*" org.flywaydb.commandline.Main "$@"
    ;;
  *) die "usage: flyway.sh fetch | run ARGUMENT…" ;;
esac
