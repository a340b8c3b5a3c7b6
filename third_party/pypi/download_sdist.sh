#!/bin/sh
# download_sdist.sh DIR ARGUMENTS…: `pip download` of source distributions into DIR, without building anything.
set -eu
dir=$1
shift
PYTHONPATH=$(cd "$(dirname "$0")" && pwd)/sdist_backend python3 -m pip download -q \
  --no-deps --no-build-isolation --no-binary :all: -d "$dir" "$@"
