# Version numbers: dotted numbers of any length, missing parts count as 0.

# Sets $part to the part of version $1 at place $2, which counts from 1.
version_part() {
  rest=$1.
  place=$2
  while [ "$place" -gt 1 ]; do
    rest=${rest#*.}
    place=$((place - 1))
  done
  part=${rest%%.*}
  part=${part:-0}
}

# Sets $order to -1, 0 or 1: version $1 is older than, as old as or newer than version $2.
version_compare() {
  order=0
  at=1
  while [ "$at" -le 4 ]; do
    version_part "$1" "$at"
    left=$part
    version_part "$2" "$at"
    right=$part
    if [ "$left" \< "$right" ]; then
      order=-1
      return
    elif [ "$left" \> "$right" ]; then
      order=1
      return
    fi
    at=$((at + 1))
  done
}

# Sets $newest to the newest of the versions given.
version_newest() {
  newest=$1
  shift
  for version in "$@"; do
    version_compare "$version" "$newest"
    if [ "$order" = 1 ]; then newest=$version; fi
  done
}
