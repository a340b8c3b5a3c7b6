#!/bin/sh
# push.sh SKOPEO IMAGE.tar DESTINATION [SKOPEO FLAG...]: copies the image to a registry, and says its digest.
# DESTINATION as skopeo has it: docker://registry.example/team/name:tag, docker-archive:FILE, containers-storage:NAME …
# Signs in as `docker login` or `podman login` did, or with --dest-creds=USER:PASSWORD.
set -eu
skopeo=$(realpath "$1") image=$(realpath "$2")
shift 2
cd "${BUILD_WORKING_DIRECTORY:-.}"
[ $# -ge 1 ] || { echo "usage: push -- docker://REGISTRY/NAME:TAG [skopeo copy's flags]" >&2; exit 2; }
to=$1
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
tar -C "$dir" -xf "$image"
"$skopeo" --insecure-policy --tmpdir "$dir" copy --digestfile "$dir/digest" "$@" "oci:$dir:latest" "$to"
echo "$to@$(cat "$dir/digest")"
