#!/usr/bin/env bash
# Builds the fuzzers of tests/fuzz with clang and runs them, two at a time; installs the packages that are
# missing.
#   tools/fuzz.sh [SECONDS] [FUZZER...]    default: 60 seconds each of all
# What they learn stays in build/fuzz/corpus; inputs that fail are kept in build/fuzz/failures, and make
# this script exit with 1. To see one again: build/fuzz/fuzz/fuzz_FUZZER FILE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all=(vandal semantics damaged_objects)
case ${1:-} in
-h | --help)
    sed -n '2,6s/^# *//p' tools/fuzz.sh
    exit 0
    ;;
esac
seconds=${1:-60}
shift || true
[[ $seconds =~ ^[0-9]+$ ]] || {
    echo "fuzz.sh: the first argument is a number of seconds, not '$seconds'" >&2
    exit 2
}
fuzzers=("${@:-${all[@]}}")

tools/install-packages.sh build test fuzz
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz

folder=build/fuzz
mkdir -p "$folder/failures"
# Channels of their own, for each, which go whatever happens.
channels=$(mktemp -d /dev/shm/ipc-fuzz.XXXXXX)
trap 'rm -rf "$channels"' EXIT
# Speed matters more here than how long freed memory is remembered.
export ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=8 UBSAN_OPTIONS=print_stacktrace=1

fuzz() {
    local name=$1 log=$folder/$1.log
    mkdir -p "$folder/corpus/$name" "$channels/$name"
    # The limit per input is for waits that do not end; it is far above any on a busy machine.
    if IPC_DIRECTORY=$channels/$name "$folder/fuzz/fuzz_$name" -max_total_time="$seconds" \
        -timeout=60 -max_len=400 -len_control=0 -entropic=0 -print_final_stats=1 \
        -artifact_prefix="$folder/failures/$name-" \
        "$folder/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        printf '%-16s %s executions, %s a second, %s edges\n' "$name" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
            "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" \
            "$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2)"
    else
        tail -n 60 "$log"
        local input
        input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
        # In full, too, for whoever sees only this output.
        echo "fuzz.sh: $name failed; the input is ${input:-unknown}, here as base64:"
        [[ -z $input ]] || base64 "$input"
        return 1
    fi
}

status=0
running=0
for name in "${fuzzers[@]}"; do
    if ((running == 2)); then
        wait -n || status=1
        running=1
    fi
    fuzz "$name" &
    running=$((running + 1))
done
while ((running > 0)); do
    wait -n || status=1
    running=$((running - 1))
done
exit "$status"
