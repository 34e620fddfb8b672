#!/usr/bin/env bash
# Measures ipc beside its peers, and shows the results as tables, as JSON and as a page with plots.
#   tools/compare.sh [--quick] [FOLDER]
# Installs the packages that are missing, the peers among them, and builds into build/compare. The
# results go to FOLDER, or build/compare/results: results.json, results.html, and the plots as SVG.
# Takes less than 20 minutes; with --quick, less than 2 and only good for a first look. The machine
# should have nothing else to do. Works as root or with sudo, on Debian 12.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

effort=(--rounds 9 --seconds 0.25)
folder=build/compare/results
while (($#)); do
    case $1 in
    --quick) effort=(--rounds 2 --seconds 0.03) ;;
    -h | --help)
        sed -n '2,7s/^# *//p' tools/compare.sh
        exit 0
        ;;
    -*)
        echo "compare.sh: unknown option $1; see tools/compare.sh --help" >&2
        exit 2
        ;;
    /*) folder=$1 ;;
    *) folder=$here/$1 ;;
    esac
    shift
done

# Of what else the machine does, not of the build that follows.
read -r load _ </proc/loadavg
tools/install-packages.sh build peers
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Building in $PWD/build/compare ..."
if ! { cmake --preset release -B build/compare -DIPC_BUILD_TESTS=OFF -DIPC_BUILD_EXAMPLES=OFF &&
    cmake --build build/compare --target ipc-bench; } >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    echo "compare.sh: the build failed; its last lines are above" >&2
    exit 1
fi

revision=$(git describe --always --dirty 2>/dev/null || true)
mkdir -p "$folder"
# A peer that fails is named in the results, and no reason to show none.
status=0
build/compare/bin/ipc-bench all "${effort[@]}" --revision "$revision" \
    --load-average "$load" --output "$folder/results.json" || status=$?
((status <= 1)) || exit "$status"
build/compare/bin/ipc-bench page "$folder/results.json" "$folder/results.html" --plots "$folder"
echo "Results: $folder/results.html, $folder/results.json"
exit "$status"
