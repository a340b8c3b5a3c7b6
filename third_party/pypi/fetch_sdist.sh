#!/bin/sh
# fetch_sdist.sh LOCK PATTERN: puts the files that match PATTERN in the source distribution that LOCK pins, its hash
# checked, into files/, by their paths in it. The archive is kept by hash in ~/.cache/pypi-pins.
set -eu
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pypi-pins
mkdir -p "$cache" files got
pin=$(grep -v '^#' "$1")
sha256=${pin##*:}
if [ ! -e "$cache/$sha256" ]; then
  "$(dirname "$0")/download_sdist.sh" got --require-hashes -r "$1" > pip.log 2>&1 || {
    echo "$(grep -m 1 '^ERROR' pip.log || tail -n 1 pip.log); if it is gone for good, run third_party/pypi/update" >&2
    exit 1
  }
  mv got/* "$cache/$sha256"
fi
echo "$sha256  $cache/$sha256" | sha256sum --status -c - || {
  echo "$pin does not have the SHA-256 in the lock file" >&2
  exit 1
}
tar -xzf "$cache/$sha256" -C files --strip-components=1 --wildcards "$2"
rmdir got
