#!/usr/bin/env bash
# elasticsearch.sh fetch | start DIR [PORT=9200] [HEAP=512m] [SETTING=VALUE…] | stop DIR
#
# A real Elasticsearch with one node on 127.0.0.1:PORT, from the archive in Maven Central that Elastic's own integration
# tests run against. It lacks most modules (no scripts, no reindex, `GET /` answers 405) and has what a delivery needs.
# With ELASTICSEARCH_PASSWORD security is on, with users of that password: `admin` may do everything, `shipper` with indices
# named t* what docs/operations.md says that an agent must be allowed, `reader` all of that but writing. The archive lacks
# what users and API keys that are made over HTTP need; config/users is read again when it changes.
# What is downloaded is kept in build/cache, or in $CONVEYOR_CACHE, and is never fetched again.
# JAVA names the JVM; TIER=1 halves the time to start at the cost of throughput: for tests.
# ELASTICSEARCH_VERSION is one of org.elasticsearch.distribution.integ-test-zip:elasticsearch; 9.x wants Java 21.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$root/tools/java.sh"
source "$root/tools/search-server.sh"

version=${ELASTICSEARCH_VERSION:-8.19.21}
password=${ELASTICSEARCH_PASSWORD:-}
archive=$cache/elasticsearch-$version
case $version in 8.*) java_least=17 ;; *) java_least=21 ;; esac

fetch() {
  if [ -e "$archive/complete" ]; then return; fi
  say "downloading Elasticsearch $version from Maven Central, once (about 110 MB)"
  rm -rf "$archive"
  mkdir -p "$archive"
  download "Elasticsearch" "$archive" dependency:unpack -DoutputDirectory="$archive" \
    -Dartifact="org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip"
  touch "$archive/complete"
}

# It refuses to run as root, so the server's user must be able to read it: a checkout under /root is linked or copied.
program() {
  local home=$archive/elasticsearch-$version
  if ! as_server test -x "$home/bin/elasticsearch"; then
    [ -e "$1/program" ] || cp -al "$home" "$1/program" 2> /dev/null || cp -a "$home" "$1/program"
    home=$1/program
  fi
  echo "$home"
}

configure() {
  local dir=$1 port=$2 heap=$3 home=$4 setting
  shift 4
  place_data "$dir/data"
  mkdir -p "$dir"/{config/jvm.options.d,data,logs,tmp}
  cp "$home"/config/log4j2.properties "$dir/config/"
  sed -e '/^-Xlog:gc/d' -e 's/^-XX:+UseG1GC/-XX:+UseSerialGC/' "$home/config/jvm.options" > "$dir/config/jvm.options"
  printf '%s\n' "-Xms$heap" "-Xmx$heap" "-XX:TieredStopAtLevel=${TIER:-4}" > "$dir/config/jvm.options.d/ours.options"
  {
    printf '%s\n' "cluster.name: conveyor-$port" "path.data: $dir/data" "path.logs: $dir/logs" 'discovery.type: single-node' \
      'network.host: 127.0.0.1' "http.port: $port" "transport.port: $((port + 100))" \
      'cluster.routing.allocation.disk.threshold_enabled: false' \
      'resource.reload.interval.high: 1s' "xpack.security.enabled: $([ -n "$password" ] && echo true || echo false)"
    for setting in "$@"; do printf '%s: %s\n' "${setting%%=*}" "${setting#*=}"; done
  } > "$dir/config/elasticsearch.yml"
  if [ -n "$password" ]; then make_users "$dir/config"; fi
  chmod 700 "$dir/config"
  if [ "$(id -u)" = 0 ]; then chown -R "$server_user:" "$dir"/{config,data/.,logs,tmp}; fi
}

# Users and roles in files need no cluster to be made.
make_users() {
  local hash
  hash=$(perl -e 'print crypt($ENV{ELASTICSEARCH_PASSWORD}, q($2a$04$) . "conveyor" x 2 . "......")')
  printf '%s\n' "admin:$hash" "shipper:$hash" "reader:$hash" > "$1/users"
  printf '%s\n' superuser:admin conveyor:shipper reader:reader > "$1/users_roles"
  cat > "$1/roles.yml" << 'END'
conveyor:
  indices:
    - names: ['t*']
      privileges: [manage, read, write]
reader:
  indices:
    - names: ['t*']
      privileges: [manage, read]
END
}

start() {
  local dir=$1 port=${2:-9200} heap=${3:-512m} java home
  shift $(($# < 3 ? $# : 3))
  java=$(find_java $java_least)
  if port_in_use "$port"; then die "port $port is in use: give another one, or stop what listens there"; fi
  fetch
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  home=$(program "$dir")
  configure "$dir" "$port" "$heap" "$home" "$@"
  ES_PATH_CONF=$dir/config ES_TMPDIR=$dir/tmp HOME=$dir/tmp ES_JAVA_HOME=${java%/bin/java} \
    as_server "$home/bin/elasticsearch" -d -p "$dir/data/pid" > "$dir/log" 2>&1 < /dev/null ||
    { tail -60 "$dir/log" >&2; die "Elasticsearch did not start; its log is $dir/log"; }
  cp "$dir/data/pid" "$dir/pid"
  wait_until_healthy Elasticsearch "$dir" "$port" --user "admin:$password"
}

stop() {
  end_process "$1" org.elasticsearch.server
  remove_placed_data "$1/data"
}

command_line "$@"
