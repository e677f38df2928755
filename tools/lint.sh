#!/usr/bin/env bash
# lint.sh [--fix | --tidy]: what the tree must obey. Prints every finding and exits 1 if there is one.
#   --fix   puts the C++ in order instead
#   --tidy  runs clang-tidy over the agent instead (minutes)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

# Every file that is or will be tracked. A copy without a repository (build/tree) is looked at as it stands.
if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
  mapfile -t files < <(git ls-files --cached --others --exclude-standard | while read -r file; do [ ! -f "$file" ] || echo "$file"; done)
else
  mapfile -t files < <(find . -type f -not -path './build/*' -printf '%P\n')
fi

# matching REGEX: those whose path matches, one a line.
matching() { printf '%s\n' "${files[@]}" | grep -E "$1" || true; }

mapfile -t cxx < <(matching '\.(cpp|hpp)$')
mapfile -t shell < <(for file in "${files[@]}"; do if [[ $file == *.sh ]] || head -c 40 "$file" | grep -aq '^#!.*bash'; then echo "$file"; fi; done)
mapfile -t python < <(for file in "${files[@]}"; do if [[ $file == *.py ]] || head -c 40 "$file" | grep -aq '^#!.*python'; then echo "$file"; fi; done)

case ${1:-} in
  --fix)
    [ ${#cxx[@]} = 0 ] || clang-format -i "${cxx[@]}"
    exit
    ;;
  --tidy)
    cmake -S . -B build/tidy -G Ninja > /dev/null
    mapfile -t sources < <(matching '^agent/.*\.cpp$')
    printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/tidy
    exit
    ;;
esac

failed=0
# report WHAT COMMAND…: runs it, names it when it finds something.
report() {
  local what=$1
  shift
  if ! "$@"; then
    echo "lint: $what" >&2
    failed=1
  fi
}

# nothing_in REGEX FILE…: no line of these matches. Tabs and trailing blanks are part of psql's output, so expected files are free.
nothing_in() {
  local pattern=$1
  shift
  ! grep -nIP "$pattern" "$@"
}
at_most_500_lines() { ! wc -l "$@" | awk '$1 > 500 && $2 != "total" { print; found = 1 } END { exit !found }'; }

mapfile -t plain < <(matching '\.(cpp|hpp|sql|py|sh|md|txt|yaml|spec|cmake)$|Makefile|CMakeLists' | grep -v '/expected/')
[ ${#cxx[@]} = 0 ] || report 'C++ is not formatted: run make format' clang-format --dry-run -Werror "${cxx[@]}"
[ ${#shell[@]} = 0 ] || report 'shell scripts' shellcheck "${shell[@]}"
[ ${#python[@]} = 0 ] || report 'Python' /usr/bin/python3 -m pyflakes "${python[@]}"
report 'blanks at the end of a line' nothing_in '[ \t]+$' "${plain[@]}"
report 'files of more than 500 lines' at_most_500_lines "${plain[@]}"
exit $failed
