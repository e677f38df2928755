#!/usr/bin/env bash
# opensearch.sh fetch | start DIR [PORT=9200] [HEAP=512m] [SETTING=VALUE…] | stop DIR
#
# A real OpenSearch with one node on 127.0.0.1:PORT, from the artifacts in Maven Central: no container, no account.
# What is downloaded is kept in build/cache, or in $CONVEYOR_CACHE, and is never fetched again.
# JAVA names the JVM; TIER=1 halves the time to start at the cost of throughput: for tests.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=2.19.1.0
cache=${CONVEYOR_CACHE:-$build/cache}
lib=$cache/opensearch-$version

# Prints how many files have come, as Maven says it.
count_downloads() {
  awk '/Downloaded from/ { n++; if (n % 50 == 0) { printf "        %d files downloaded\n", n; fflush() } }'
}

fetch() {
  if [ -e "$lib/complete" ]; then return; fi
  command -v mvn > /dev/null || die "Maven is missing: run 'make deps'"
  say "downloading OpenSearch $version from Maven Central, once (about 110 MB)"
  rm -rf "$lib"
  mkdir -p "$lib"
  sed "s/@VERSION@/$version/" "$root/tools/opensearch.pom.xml" > "$lib/pom.xml"
  mvn -B -Dmaven.repo.local="$cache/maven" -f "$lib/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" \
    -DincludeScope=runtime 2>&1 | tee "$lib/maven.log" | count_downloads ||
    { tail -30 "$lib/maven.log" >&2; die "Maven could not download OpenSearch; the log is $lib/maven.log"; }
  touch "$lib/complete"
}

find_java() {
  if [ -n "${JAVA:-}" ]; then
    echo "$JAVA"
    return
  fi
  local candidate
  for candidate in /usr/lib/jvm/java-17-openjdk-*/bin/java; do
    if [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
  command -v java || die "Java is missing: run 'make deps'"
}

is_mounted() { grep -qs "^[^ ]* $1 " /proc/mounts; }

# Java looks for the mount point of the folder that holds the data, and finds none in a chroot whose root is not one: OpenSearch
# would end without a word. There the data goes to /dev/shm, with a link to it from DIR, until it is stopped.
place_data() {
  local place remedy="before entering the chroot, mount /proc, /dev and /dev/shm in it"
  if is_mounted / || [ -d "$1/node_1/data" ]; then return; fi
  is_mounted /dev/shm || is_mounted /dev || die "/ is no mount point, so OpenSearch cannot start: $remedy"
  place=$(mktemp -d /dev/shm/opensearch.XXXXXX) || die "/dev/shm is not what it should be: $remedy"
  mkdir -p "$1/node_1"
  ln -sfn "$place" "$1/node_1/data"
}
remove_placed_data() {
  local data=$1/node_1/data
  if [ -L "$data" ]; then rm -rf "$(readlink "$data")" "$data"; fi
}

start() {
  local dir=$1 port=${2:-9200} heap=${3:-512m}
  shift $(($# < 3 ? $# : 3))
  # The runner counts up to 9299, and takes the next free port in silence when this one is taken.
  [ "$port" -le 9299 ] || die "the port must be 9299 or less"
  if port_in_use "$port"; then die "port $port is in use: give another one, or stop what listens there"; fi
  fetch
  mkdir -p "$dir/config"
  dir=$(cd "$dir" && pwd)
  place_data "$dir"
  printf '%s\n' 'discovery.type: single-node' 'network.host: 127.0.0.1' "transport.port: $((port + 100))" \
    'cluster.routing.allocation.disk.threshold_enabled: false' > "$dir/config/opensearch.yml"
  local setting
  for setting in "$@"; do printf '%s: %s\n' "${setting%%=*}" "${setting#*=}" >> "$dir/config/opensearch.yml"; done
  (cd "$dir" && exec nohup setsid "$(find_java)" "-Xms$heap" "-Xmx$heap" -XX:+UseSerialGC "-XX:TieredStopAtLevel=${TIER:-4}" \
    -cp "$lib/*" org.codelibs.opensearch.runner.OpenSearchRunner -basePath "$dir" -confPath "$dir/config" -numOfNode 1 \
    -baseHttpPort $((port - 1)) -clusterName "conveyor-$port" -useLogger > "$dir/log" 2>&1 < /dev/null) &
  echo $! > "$dir/pid"
  wait_until_healthy "$dir" "$port"
}

wait_until_healthy() {
  local dir=$1 port=$2 until=$((SECONDS + 120))
  while [ $SECONDS -lt $until ]; do
    if curl -fs -m 2 "http://127.0.0.1:$port/_cluster/health" 2> /dev/null | grep -qE '"status":"(green|yellow)"'; then return; fi
    kill -0 "$(cat "$dir/pid")" 2> /dev/null || { tail -40 "$dir/log" >&2; die "OpenSearch ended; its log is $dir/log"; }
    sleep 0.2
  done
  stop "$dir"
  die "OpenSearch did not answer within 120 s; its log is $dir/log"
}

# SIGTERM, and SIGKILL when it has not gone after 20 s. A pid that is not an OpenSearch any more is left alone.
stop() {
  local pid waited=0
  pid=$(cat "$1/pid" 2> /dev/null) || pid=none
  while grep -qs OpenSearchRunner "/proc/$pid/cmdline"; do
    if [ $waited = 0 ]; then kill "$pid"; elif [ $waited = 200 ]; then kill -9 "$pid"; fi
    waited=$((waited + 1))
    sleep 0.1
  done
  rm -f "$1/pid"
  remove_placed_data "$1"
}

verb=${1:-}
case $verb in
  fetch) fetch ;;
  start | stop)
    [ $# -ge 2 ] || die "usage: opensearch.sh $verb DIR"
    shift
    "$verb" "$@"
    ;;
  *) die "usage: opensearch.sh fetch | start DIR [PORT] [HEAP] [SETTING=VALUE…] | stop DIR" ;;
esac
