# Sourced after common.sh by the tools that run Java programs from Maven Central.
# shellcheck shell=bash disable=SC2034,SC2154

# What is downloaded is kept here and is never fetched again.
cache=$(realpath -m "${CONVEYOR_CACHE:-$build/cache}")

# download WHAT FOLDER MAVEN-ARGUMENT…: runs Maven in FOLDER, where it leaves marks of its own, with what it fetches in the
# cache; shows how many files have come.
download() {
  local what=$1 folder=$2
  shift 2
  command -v mvn > /dev/null || die "Maven is missing: run 'make deps'"
  (cd "$folder" && mvn -B -Dmaven.repo.local="$cache/maven" "$@") 2>&1 | tee "$folder/maven.log" |
    awk '/Downloaded from/ { n++; if (n % 50 == 0) { printf "        %d files downloaded\n", n; fflush() } }' ||
    { tail -30 "$folder/maven.log" >&2; die "Maven could not download $what; the log is $folder/maven.log"; }
}

# find_java LEAST: prints the oldest JVM of at least that major version, since each program is tested with the first that
# it runs on. JAVA names another one.
find_java() {
  local least=$1 release major best="" found=""
  if [ -n "${JAVA:-}" ]; then
    echo "$JAVA"
    return
  fi
  for release in /usr/lib/jvm/*/release; do
    major=$(sed -nE 's/^JAVA_VERSION="([0-9]+).*/\1/p' "$release")
    if [ -n "$major" ] && [ "$major" -ge "$least" ] && [ "$major" -lt "${best:-1000}" ]; then
      best=$major found=${release%/release}/bin/java
    fi
  done
  [ -n "$found" ] || die "no Java of version $least or later: run 'make deps', or name one in JAVA"
  echo "$found"
}
