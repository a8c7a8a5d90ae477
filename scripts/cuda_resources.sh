#!/bin/sh
# What each CUDA kernel takes, from ptxas's reports (-Xptxas -v, see nvcc.sh): architecture, registers, bytes spilled,
# shared memory, name. Fails if a kernel of ours spills; what libraries bring (cub::) is shown only.
# usage: cuda_resources.sh REPORT...
cat "$@" | c++filt | awk '
/Compiling entry function/ {
    name = $0; sub(/.*function ./, "", name); sub(/. for .*/, "", name); arch = $0; sub(/.* for ./, "", arch); sub(/.$/, "", arch)
}
/bytes stack frame/ { spilled = $5 + $9 }
/Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
    shared = 0; if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART, RLENGTH - 11)
    gsub(/\(anonymous namespace\)::/, "", name)
    printf "%s %3d registers %4d spilled %6d shared  %s\n", arch, registers, spilled, shared, substr(name, 1, 90)
    kernels++
    if (spilled > 0 && name !~ /cub::/) bad++
}
END {
    printf "%d kernels, %d of them spill\n", kernels, bad
    exit bad > 0 || kernels == 0
}'
