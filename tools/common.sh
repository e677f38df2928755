# Sourced by the scripts of tools/, demo/ and tests/: where things are, who runs servers, how to talk to the reader.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
shopt -s inherit_errexit
# What is made for a server must be readable by its user, whatever the caller's mask.
umask 022

# say TEXT…: one line about what happens now, with the seconds since the script that a person started began.
export CONVEYOR_BEGAN=${CONVEYOR_BEGAN:-$EPOCHSECONDS}
say() { printf '[%4ds] %s\n' $((EPOCHSECONDS - CONVEYOR_BEGAN)) "$*"; }

# die TEXT…: what went wrong and what to do about it.
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# PostgreSQL refuses to run as root: then its servers belong to user postgres, which Debian's package has made.
if [ "$(id -u)" = 0 ]; then server_user=postgres; else server_user=$(id -un); fi

# as_server COMMAND…: runs it as the user that servers belong to. The working directory is one that this user can read.
as_server() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && exec setpriv --reuid="$server_user" --regid="$server_user" --init-groups -- "$@")
  else
    (cd / && exec "$@")
  fi
}

# runtime_folder NAME: makes build/NAME a folder that servers can work in and prints its real path. That is build/NAME itself,
# unless user postgres cannot get there (a checkout under /root) or the path is too long for a Unix socket (107 bytes, of
# which tests need some): then it is a folder in /var/tmp with a link to it from build/NAME, gone with remove_runtime_folder.
runtime_folder() {
  local link=$build/$1
  mkdir -p "$(dirname "$link")"
  if [ -L "$link" ] && [ ! -d "$link" ]; then rm "$link"; fi
  if [ ! -e "$link" ]; then
    if [ ${#link} -le 64 ] && as_server test -x "$(dirname "$link")"; then
      mkdir "$link"
    else
      local place
      place=$(mktemp -d /var/tmp/pg_conveyor.XXXXXX)
      chmod 755 "$place"
      ln -s "$place" "$link"
    fi
  fi
  readlink -f "$link"
}

remove_runtime_folder() {
  local link=$build/$1
  if [ -e "$link" ]; then rm -rf "$(readlink -f "$link")"; fi
  rm -f "$link"
}

# server_folder DIR: makes DIR for the server's user alone: whoever can reach the socket inside is a superuser.
server_folder() {
  mkdir -p "$1"
  chmod 700 "$1"
  if [ "$(id -u)" = 0 ]; then chown "$server_user:" "$1"; fi
}

port_in_use() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# free_port FIRST LAST: prints the first port of the range that nobody listens on.
free_port() {
  local port
  for port in $(seq "$1" "$2"); do
    if ! port_in_use "$port"; then
      echo "$port"
      return
    fi
  done
  die "no free port between $1 and $2 on 127.0.0.1"
}
