#!/usr/bin/env bash
# deps.sh: installs the Debian packages of packages.txt that are missing; does nothing when all are there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

command -v apt-get > /dev/null || die "this installs Debian packages; elsewhere, install what tools/packages.txt names by hand"
mapfile -t wanted < <(sed -e 's/#.*//' -e '/^ *$/d' "$root/tools/packages.txt")
missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
  say "all Debian packages that are needed are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo > /dev/null || die "packages are missing and there is no sudo; as root, run: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
say "installing ${#missing[@]} Debian packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# apt COMMAND…: shows one line per twenty steps; everything when it failed.
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y "$@" 2>&1 | tee "$log" |
    awk '/^Get:/ { fetched++ } /^Setting up / { set++ }
      /^(Get:|Setting up )/ && (fetched + set) % 20 == 0 { printf "        %d downloaded, %d installed\n", fetched, set; fflush() }' ||
    { cat "$log" >&2; die "apt-get $1 failed"; }
}
apt update
apt install --no-install-recommends "${missing[@]}"
say "packages are installed"
