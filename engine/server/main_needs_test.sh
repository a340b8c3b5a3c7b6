#!/bin/sh
# main_needs_test.sh MAIN: what an image must have for the engine, as fleet/providers/README.md says.
set -eu
needed=$(objdump -p "$1" | awk '$1 == "NEEDED" { print $2 }' | sort | tr '\n' ' ')
newest=$(objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
echo "$needed$newest"
[ "$needed$newest" = 'ld-linux-x86-64.so.2 libc.so.6 libgcc_s.so.1 libm.so.6 GLIBC_2.34' ]
