#!/usr/bin/env bash
# Builds ipc and shows what it is for: processes exchange messages, one is killed, and nothing is lost.
#   tools/demo.sh            installs the packages that are missing, builds into build/demo, runs
#   tools/demo.sh FOLDER     runs what an earlier build left in FOLDER
# Exits with 1 if any figure is off. Works as root or with sudo, on Debian 12; needs no terminal.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
exec 3>&2 # for messages

build=build/demo
for argument in "$@"; do
    case $argument in
    -h | --help)
        sed -n '2,5s/^# *//p' tools/demo.sh
        exit 0
        ;;
    -*)
        echo "demo.sh: unknown option $argument; see tools/demo.sh --help" >&2
        exit 2
        ;;
    /*) build=$argument ;;
    *) build=$here/$argument ;;
    esac
done
shm=${IPC_DIRECTORY:-/dev/shm}
work=$(mktemp -d)
lines=demo.$$.lines
results=demo.$$.results
declare -A processes=()

# However this script ends, no process, channel or file of it stays.
clean_up() {
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    if ((${#processes[@]})); then
        kill -KILL "${processes[@]}" 2>/dev/null || true
        wait 2>/dev/null || true
    fi
    for channel in "$lines" "$results"; do
        if [[ -e $shm/ipc.$channel ]]; then "$build/bin/ipc-rm" "$channel" 2>&3 || status=1; fi
    done
    cat "$work"/*.err >&3 2>/dev/null || true
    ((status == 0)) || cat "$work/shell.log" >&3 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "demo.sh: $*" >&3
    exit 1
}

# Starts a program, named for messages about it; NAME.out is its output.
start() {
    local name=$1
    shift
    # Without "<&0" a background process has no input.
    "$build/$1" "${@:2}" <&0 >"$work/$name.out" 2>"$work/$name.err" &
    processes[$name]=$!
}

# Waits until a process that was started has ended, with success unless said otherwise.
finish() {
    local name=$1 expected=${2:-0} status=0
    while kill -0 "${processes[$name]}" 2>/dev/null; do
        ((SECONDS < deadline)) || fail "$name takes too long"
        sleep 0.02
    done
    wait "${processes[$name]}" 2>/dev/null || status=$?
    unset "processes[$name]"
    ((status == expected)) || fail "$name ended with $status instead of $expected"
}

check() {
    [[ $2 == "$3" ]] || fail "$1: $2, but it has to be $3"
}

if (($# == 0)); then
    tools/install-packages.sh build
    echo "Building in $PWD/$build ..."
    if ! { cmake --preset release -B "$build" -DIPC_BUILD_TESTS=OFF -DIPC_BUILD_BENCHMARKS=OFF &&
        cmake --build "$build" --target publish_subscribe work_queue zero_copy ipc-monitor ipc-rm; } \
        >"$work/build.log" 2>&1 </dev/null; then
        tail -n 30 "$work/build.log" >&3
        fail "the build failed; its last lines are above"
    fi
fi
for program in examples/{publish_subscribe,work_queue,zero_copy} bin/{ipc-monitor,ipc-rm}; do
    [[ -x $build/$program ]] || fail "$build/$program is missing; without a folder, this script builds it"
done

# What bash says of its own accord, as that a process was killed, is of interest after a failure only.
exec 2>"$work/shell.log"

repeats=10 seconds=5
for ((i = 0; i < repeats; ++i)); do cat /usr/share/common-licenses/*; done >"$work/input"
read -r line_count word_count byte_count _ < <(wc "$work/input")
rate=$((line_count / seconds))
stuck=$((rate / 2)) # the line that a worker hangs over, after half a second

cat <<END
Processes of one host exchange messages through rings in shared memory:
* One publishes the texts in /usr/share/common-licenses, $repeats times over:
  $line_count lines in $seconds seconds. Another archives every line.
* Three workers share the lines. Each counts words, publishes the result, and
  only then acknowledges the line. One more process adds the results up.
ipc-monitor shows all queues without taking part:

END

deadline=$((SECONDS + 60))
start total examples/work_queue total "$results"
start archive examples/publish_subscribe subscribe "$lines"
for i in 1 2 3; do start "worker$i" examples/work_queue work "$lines" "$results" "$stuck"; done
start publisher examples/publish_subscribe publish "$lines" 2 "$rate" <"$work/input"
sleep 0.5
"$build/bin/ipc-monitor" --once "demo.$$.*" 2>&3

cat <<END

One worker hangs (FLIGHT, OLDEST): its result is out, its line not acknowledged.
END
timeout 20 "$build/examples/work_queue" kill "$lines" "$stuck" 2>&3 | tee "$work/killed" ||
    fail "no worker was caught with a lease"
victim=$(sed -n 's/^Worker \([0-9]*\) .*/\1/p' "$work/killed")

for name in publisher worker1 worker2 worker3 archive total; do
    expected=0
    [[ ${processes[$name]} != "$victim" ]] || expected=137 # 128 + SIGKILL
    finish "$name" "$expected"
done
read -r lines_done _ words_done _ duplicates _ <"$work/total.out"

"$build/examples/zero_copy" <"$work/archive.out" >"$work/copy" 2>&3 || fail "zero_copy failed"
"$build/bin/ipc-rm" "$lines" "$results" 2>&3
left=$(find "$shm" -maxdepth 1 -name "ipc.demo.$$.*")

check "lines counted by the workers" "$lines_done" "$line_count"
check "words counted by the workers" "$words_done" "$word_count"
check "results that came twice" "$duplicates" 1
cmp "$work/input" "$work/archive.out" >&3 || fail "the archive differs from the input"
cmp "$work/input" "$work/copy" >&3 || fail "the copy of the archive differs from the input"
check "left in $shm" "$left" ""

cat <<END
So that line was counted twice, and one result dropped by its sequence number.

  lines counted by the workers   $lines_done    as wc -l says
  words counted by the workers   $words_done   as wc -w says
  bytes archived                 $byte_count  identical to the input
  bytes copied by zero_copy      $byte_count  identical to the input
A process was killed in mid-work: nothing is lost, nothing is left in $shm.
END
