#!/bin/sh
# Runs nvcc; what ptxas says of each kernel (-Xptxas -v) goes to the file named first, everything else to stderr.
# usage: nvcc.sh REPORT COMMAND...
report=$1
shift
log=$report.log
"$@" 2>"$log"
status=$?
grep -E "^ptxas info|bytes stack frame" "$log" >"$report"
grep -vE "^ptxas info|bytes stack frame" "$log" >&2
rm -f "$log"
exit $status
