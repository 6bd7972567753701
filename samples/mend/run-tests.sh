#!/bin/sh
# Runs every tests/*.test.sh; ends with 1 when a check fails. Needs nothing but a POSIX shell.
cd "${0%/*}" 2>/dev/null || cd .
checks=0
failures=0

# check NAME WANTED GOT
check() {
  checks=$((checks + 1))
  if [ "$2" = "$3" ]; then
    echo "ok $checks - $1"
  else
    failures=$((failures + 1))
    echo "not ok $checks - $1"
    echo "#   wanted: $2"
    echo "#   got:    $3"
  fi
}

for file in tests/*.test.sh; do
  echo "# $file"
  . "./$file"
done

echo "1..$checks"
echo "# failed: $failures"
[ "$failures" -eq 0 ]
