# Sourced after java.sh by opensearch.sh and elasticsearch.sh: what two kinds of search servers need alike.
# shellcheck shell=bash disable=SC2154

is_mounted() { grep -qs "^[^ ]* $1 " /proc/mounts; }

# place_data DATA: Java looks for the mount point of the folder that holds the data, and finds none in a chroot whose root is
# not one: such a server would end without a word. There the data goes to /dev/shm, with a link to it from DATA, until it is stopped.
place_data() {
  local place remedy="before entering the chroot, mount /proc, /dev and /dev/shm in it"
  if is_mounted / || [ -d "$1" ]; then return; fi
  is_mounted /dev/shm || is_mounted /dev || die "/ is no mount point, so a search server cannot start: $remedy"
  place=$(mktemp -d /dev/shm/search.XXXXXX) || die "/dev/shm is not what it should be: $remedy"
  chmod 755 "$place"
  mkdir -p "$(dirname "$1")"
  ln -sfn "$place" "$1"
}
remove_placed_data() {
  if [ -L "$1" ]; then rm -rf "$(readlink "$1")" "$1"; fi
}

# wait_until_healthy NAME DIR PORT [CURL-OPTION…]: returns when it has a cluster; ends it when that takes too long.
wait_until_healthy() {
  local name=$1 dir=$2 port=$3 until=$((SECONDS + 120))
  shift 3
  while [ $SECONDS -lt $until ]; do
    if curl -fs -m 2 "$@" "http://127.0.0.1:$port/_cluster/health" 2> /dev/null | grep -qE '"status":"(green|yellow)"'; then return; fi
    kill -0 "$(cat "$dir/pid")" 2> /dev/null || { tail -40 "$dir/log" >&2; die "$name ended; its log is $dir/log"; }
    sleep 0.2
  done
  stop "$dir"
  die "$name did not answer within 120 s; its log is $dir/log"
}

# end_process DIR WORD: SIGTERM, and SIGKILL when it has not gone after 20 s. A pid whose command line does not have the
# word is not ours any more and is left alone.
end_process() {
  local pid waited=0
  pid=$(cat "$1/pid" 2> /dev/null) || pid=none
  while grep -qs "$2" "/proc/$pid/cmdline"; do
    if [ $waited = 0 ]; then kill "$pid"; elif [ $waited = 200 ]; then kill -9 "$pid"; fi
    waited=$((waited + 1))
    sleep 0.1
  done
  rm -f "$1/pid"
}

# command_line VERB [ARGUMENT…]: what every such script can be asked for.
command_line() {
  local verb=${1:-}
  case $verb in
    fetch) fetch ;;
    start | stop)
      [ $# -ge 2 ] || die "usage: $(basename "$0") $verb DIR"
      shift
      "$verb" "$@"
      ;;
    *) die "usage: $(basename "$0") fetch | start DIR [PORT] [HEAP] [SETTING=VALUE…] | stop DIR" ;;
  esac
}
