#!/bin/bash
# Builds what a sandbox needs on this machine, from the C sources here and from the system's own packages (see PACKAGES):
#   <out>/toolkit/   mounted at /run/guildhall in every sandbox: init, bash, rg, git, socat and the libraries that they need
#   <out>/host/      used by the host: launch (uids, id-mapped mounts, cgroups), place (mounts in a sandbox that runs), seccomp.bpf
# Usage: build.sh [OUT]   (default: ../build). Does nothing when nothing has changed; safe to run side by side.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
out=$(realpath -m "${1:-../build}")
cflags=(-std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wshadow -Wconversion -fstack-protector-strong -D_FORTIFY_SOURCE=2)

missing=()
for need in gcc:gcc bwrap:bubblewrap rg:ripgrep git:git socat:socat bash-static:bash-static; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "build.sh: missing Debian packages: ${missing[*]} - install them with: apt-get install -y ${missing[*]}" >&2
  exit 1
fi

tools=("$(command -v rg)" "$(command -v git)" "$(command -v socat)")
stamp=$( { cat build.sh init/*.[ch] launch/*.[ch] mapping/*.[ch] place/*.[ch] seccomp/*.c toolkit/*.c; stat -Lc '%n %s %Y' "${tools[@]}" "$(command -v bash-static)"; } | sha256sum)
[ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && exit 0 # also for users who may only read it
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
[ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && exit 0

work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/toolkit/{bin,lib,libexec/git-core,share/git-core/templates} "$work/host"

gcc "${cflags[@]}" -static -o "$work/toolkit/init" init/*.c
gcc "${cflags[@]}" -static -o "$work/host/launch" launch/*.c mapping/*.c place/place.c place/waiting.c
gcc "${cflags[@]}" -static -o "$work/host/place" place/main.c place/place.c mapping/*.c
gcc "${cflags[@]}" -o "$work/seccomp" seccomp/*.c
"$work/seccomp" >"$work/host/seccomp.bpf"
cp "$work/host/seccomp.bpf" "$work/toolkit/" # for inits that put it on themselves
rm "$work/seccomp"
strip "$work/toolkit/init" "$work/host/launch" "$work/host/place"

# Tools start through run-tool with the loader and libraries copied beside them, so that they need no /usr.
loader=$(ldd "${tools[0]}" | awk '$1 ~ /ld-linux/ { print $1 }')
gcc "${cflags[@]}" -static -DLOADER="\"$(basename "$loader")\"" -o "$work/toolkit/libexec/run-tool" toolkit/run-tool.c
strip "$work/toolkit/libexec/run-tool"
cp -L "$loader" "$work/toolkit/lib/"
for tool in "${tools[@]}"; do
  name=$(basename "$tool")
  cp -L "$tool" "$work/toolkit/libexec/$name"
  ln "$work/toolkit/libexec/run-tool" "$work/toolkit/bin/$name"
  ldd "$tool" | awk '$2 == "=>" { print $3 }' | while read -r library; do cp -Lu "$library" "$work/toolkit/lib/"; done
done
core=$(git --exec-path)
for name in git git-upload-pack git-receive-pack git-upload-archive; do
  ln "$work/toolkit/libexec/run-tool" "$work/toolkit/libexec/git-core/$name"
done
for name in git-submodule git-sh-setup git-sh-i18n; do cp -L "$core/$name" "$work/toolkit/libexec/git-core/"; done
cp -L "$(command -v bash-static)" "$work/toolkit/bin/bash"
chmod -R u=rwX,go=rX "$work"

# Replaced as a whole; what was there stays one generation longer, for sandboxes that still have it mounted.
rm -rf "$out/old"
mkdir "$out/old"
for part in toolkit host; do
  [ -e "$out/$part" ] && mv "$out/$part" "$out/old/"
  mv "$work/$part" "$out/$part"
done
chmod 755 "$out"
printf '%s\n' "$stamp" >"$out/stamp"
