#!/bin/sh
# What each CUDA kernel takes, from ptxas's reports (-Xptxas -v, see nvcc.sh): architecture, registers, bytes spilled,
# shared memory, name. Fails if a kernel of ours spills more than cuda_spills.txt says or takes more registers than
# cuda_registers.txt, or if products of warpgroups wait for one another; what libraries bring (cub::) is shown only.
# usage: cuda_resources.sh REPORT...
cat "$@" | c++filt | awk -v scripts="$(dirname "$0")" '
# Lines of "architecture most kernel" into the lists of this name.
function read_limits(file, name,    line, word, n) {
    while ((getline line < (scripts "/" file)) > 0) {
        if (line ~ /^(#|$)/) continue
        n = ++count[name]
        split(line, word, " "); arch_of[name, n] = word[1]; most_of[name, n] = word[2]
        kernel_of[name, n] = line; sub(/^[^ ]+ [^ ]+ /, "", kernel_of[name, n])
    }
}
function limit(name, arch, kernel, otherwise,    i) {
    for (i = 1; i <= count[name]; i++)
        if (arch == arch_of[name, i] && kernel ~ kernel_of[name, i]) return most_of[name, i]
    return otherwise
}
BEGIN { read_limits("cuda_spills.txt", "spills"); read_limits("cuda_registers.txt", "registers") }
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
    if (name ~ /cub::/) next
    if (spilled > limit("spills", arch, name, 0) || registers + 0 > limit("registers", arch, name, 255)) {
        print "  more than it may"
        bad++
    }
}
END {
    printf "%d kernels, %d of them spill, %d more than they may\n", kernels, spills, bad
    exit bad > 0 || kernels == 0
}'
