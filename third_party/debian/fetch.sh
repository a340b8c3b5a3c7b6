#!/bin/sh
# fetch.sh LOCK RELOCATE: puts the packages of LOCK, hashes checked, unpacked into the current directory.
# Packages are kept by hash in ~/.cache/debian-pins, so that a pin the mirror has dropped still builds here.
# A pin that the mirror has dropped and that is not kept: the newest revision of the same upstream version is taken
# instead, with a warning (apt's signature still guards it); STRICT_PINS=1 refuses.
set -eu
lock=$1 relocate=$2
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/debian-pins
mkdir -p "$cache" debs
cp "$lock" pins

download() { (cd debs && apt-get -qq -o APT::Sandbox::User=root download "$@") > apt.log 2>&1; }

fall_forward() {  # PACKAGE VERSION SHA256: replaces the line in `pins`
  now=$(apt-cache --no-all-versions show "$1" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
  upstream=${2%-*}
  if [ "${STRICT_PINS:-0}" = 1 ] || [ "${now%-*}" != "$upstream" ]; then
    echo "cannot get $1=$2 (apt offers '${now:-nothing}'); if 'apt-get update' does not help, run third_party/debian/update and review the new pins" >&2
    exit 1
  fi
  download "$1=$now" || { echo "cannot get $1=$now: $(tail -n 1 apt.log)" >&2; exit 1; }
  sha=$(apt-cache --no-all-versions show "$1" | sed -n 's/^SHA256: //p' | head -n 1)
  echo "warning: $1 $2 is gone from the mirror; using $now; re-pin with third_party/debian/update" >&2
  sed -i "s|^$1 .*|$1 $now $sha|" pins
}

missing=
while read -r package version sha256; do
  [ -e "$cache/$sha256" ] || missing="$missing $package=$version"
done < pins
if [ -n "$missing" ]; then
  [ -n "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] || apt-get -qq update || true
  # shellcheck disable=SC2086
  download $missing || while read -r package version sha256; do
    [ -e "$cache/$sha256" ] || download "$package=$version" || fall_forward "$package" "$version" "$sha256"
  done < "$lock"
  (cd debs && for f in *.deb; do mv "$f" "$cache/$(sha256sum "$f" | cut -d' ' -f1)"; done)
fi
while read -r package version sha256; do
  [ -e "$cache/$sha256" ] && echo "$sha256  $cache/$sha256" | sha256sum --status -c - || {
    echo "$package=$version does not have the SHA-256 in the lock file" >&2
    exit 1
  }
  dpkg-deb -x "$cache/$sha256" .
done < pins
rmdir debs

if [ "$relocate" = yes ]; then
  lib=usr/lib/x86_64-linux-gnu
  # Merge /lib into /usr/lib, as on an installed system.
  [ ! -d lib ] || { cp -a lib/. usr/lib/ && rm -r lib; }
  for f in $lib/*.so.* $lib/*.so; do
    [ -f "$f" ] && [ ! -L "$f" ] || continue
    usr/bin/patchelf --set-rpath '$ORIGIN' "$f"
  done
  for f in usr/bin/* usr/sbin/*; do
    [ -f "$f" ] && [ ! -L "$f" ] && [ "$f" != usr/bin/patchelf ] && [ "$(head -c 4 "$f" | tail -c 3)" = ELF ] || continue
    usr/bin/patchelf --set-rpath '$ORIGIN/../lib/x86_64-linux-gnu' "$f" 2>/dev/null || true  # static ones refuse
  done
  # Vulkan manifests: a relative path is taken from the manifest's own folder.
  for f in usr/share/vulkan/*/*.json; do
    [ ! -f "$f" ] || sed -i 's|"library_path": "\([^"]*/\)\{0,1\}\([^"/]*\)"|"library_path": "../../../lib/x86_64-linux-gnu/\2"|' "$f"
  done
fi
