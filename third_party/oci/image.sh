#!/bin/sh
# image.sh UMOCI SKOPEO OUT LAYER... -- CONFIG...: an OCI image layout, as one tar.
# A LAYER is a word of FILE=PATH, comma-separated; a PATH that ends in / is a folder. CONFIG is `umoci config`'s.
# Every time in it is the epoch and every owner root, so the same files give the same digest.
set -eu
umoci=$1 skopeo=$2 out=$3
shift 3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
epoch=1970-01-01T00:00:00Z
image=$dir/image:latest

pack() { tar --sort=name --mtime=@0 --numeric-owner --format=gnu "$@"; }
add() { "$umoci" raw add-layer --image "$image" --history.created "$epoch" --history.created_by image.sh "$1"; }

"$umoci" init --layout "$dir/image"
"$umoci" new --image "$image"

# What a program may write: /data by the user it runs as, /tmp by any.
mkdir -p "$dir/folders/data" "$dir/folders/tmp"
chmod 700 "$dir/folders/data"
chmod 1777 "$dir/folders/tmp"
pack -C "$dir/folders" --owner=0 --group=0 -cf "$dir/folders.tar" tmp
pack -C "$dir/folders" --owner=65532 --group=65532 -rf "$dir/folders.tar" data
add "$dir/folders.tar"

while [ "$1" != -- ]; do
  rm -rf "$dir/root"
  for entry in $(echo "$1" | tr , ' '); do
    file=${entry%%=*} path=$dir/root/${entry#*=}
    case $path in */) path=$path${file##*/} ;; esac
    mkdir -p "${path%/*}"
    install -m 755 "$file" "$path"
  done
  find "$dir/root" -type d -exec chmod 755 {} +
  pack -C "$dir/root" --owner=0 --group=0 -cf "$dir/layer.tar" .
  add "$dir/layer.tar"
  shift
done
shift

"$umoci" config --image "$image" --created "$epoch" --no-history --os linux --architecture amd64 "$@"
"$umoci" gc --layout "$dir/image"
"$skopeo" --insecure-policy inspect --raw "oci:$image" > /dev/null
pack -C "$dir/image" --owner=0 --group=0 -cf "$out" .
