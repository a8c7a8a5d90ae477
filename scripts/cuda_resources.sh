#!/bin/sh
# What each CUDA kernel takes, from ptxas's reports (-Xptxas -v, see nvcc.sh): architecture, registers, bytes spilled,
# shared memory, name. Fails if a kernel of ours spills more than cuda_spills.txt says, or if products of warpgroups wait for
# one another; what libraries bring (cub::) is shown only.
# usage: cuda_resources.sh REPORT...
cat "$@" | c++filt | awk -v allowed="$(dirname "$0")/cuda_spills.txt" '
BEGIN {
    while ((getline line < allowed) > 0) {
        if (line ~ /^(#|$)/) continue
        n++
        split(line, word, " "); arch_of[n] = word[1]; most_of[n] = word[2]
        kernel_of[n] = line; sub(/^[^ ]+ [^ ]+ /, "", kernel_of[n])
    }
}
function most(arch, name,    i) {
    for (i = 1; i <= n; i++) if (arch == arch_of[i] && name ~ kernel_of[i]) return most_of[i]
    return 0
}
/Compiling entry function/ {
    name = $0; sub(/.*function ./, "", name); sub(/. for .*/, "", name); arch = $0; sub(/.* for ./, "", arch); sub(/.$/, "", arch)
    sub(/^void /, "", name)
}
/wgmma.*serialized/ { print; bad++ }
/bytes stack frame/ { spilled = $5 + $9 }
/Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
    shared = 0; if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART, RLENGTH - 11)
    gsub(/\(anonymous namespace\)::/, "", name)
    printf "%s %3d registers %4d spilled %6d shared  %s\n", arch, registers, spilled, shared, substr(name, 1, 90)
    kernels++
    if (spilled > 0) spills++
    if (spilled > most(arch, name) && name !~ /cub::/) bad++
}
END {
    printf "%d kernels, %d of them spill, %d more than they may\n", kernels, spills, bad
    exit bad > 0 || kernels == 0
}'
