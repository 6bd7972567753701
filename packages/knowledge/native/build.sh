#!/bin/sh
# Builds the FAISS addon into ../build/faiss.node, unless it is newer than its sources. Without one of the packages in PACKAGES, which are all
# optional, it builds nothing and says so: session memory then scans exactly in JavaScript, and `guild doctor` tells.
set -eu
cd "$(dirname "$0")"
modules=$(cd ../../../node_modules && pwd)
out=../build/faiss.node
if [ -f "$out" ] && [ "$out" -nt faiss.cc ] && [ "$out" -nt build.sh ]; then exit 0; fi
without() {
  echo "guild: $1 is not installed: session memory uses the exact scan" >&2
  exit 0
}
[ -f /usr/include/faiss/IndexFlat.h ] || without libfaiss-dev
command -v "${CXX:-g++}" >/dev/null || without g++
[ -n "$(find /usr/lib -name libopenblas.so -print -quit)" ] || without libopenblas-dev
headers=
for candidate in "$modules"/node-linux-*/include/node; do [ -d "$candidate" ] && headers=$candidate; done
[ -n "$headers" ] || { echo "guild: no Node headers under node_modules: run npm ci" >&2; exit 1; }
archive=$(find /usr/lib -name libfaiss.a | head -n 1)
mkdir -p ../build
${CXX:-g++} -std=c++17 -O2 -fPIC -shared -fopenmp -DNAPI_VERSION=8 -DNAPI_CPP_EXCEPTIONS \
  -I"$headers" -I"$modules/node-addon-api" faiss.cc "$archive" -lopenblas -o "$out.tmp"
mv "$out.tmp" "$out"
