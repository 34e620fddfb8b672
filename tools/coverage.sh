#!/usr/bin/env bash
# Which lines and branches of the library do the tests execute? Prints a table of the files of ipc/, and
# leaves a page for each in build/coverage/report/. tests/README.md says why what is missing is missing.
#   tools/coverage.sh [CTEST-OPTION...]    default: the quick tests; not hot_path_test, which counts
#                                          instructions, and with them those that count here
# Branches that only an exception takes are left out. A process that is killed reports nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
-h | --help)
    sed -n '2,6s/^# *//p' tools/coverage.sh
    exit 0
    ;;
esac
(($#)) || set -- -L '^quick$' -E '^hot_path_test'

tools/install-packages.sh build test coverage
cmake --preset coverage
cmake --build --preset coverage
find build/coverage -name '*.gcda' -delete
# A test that fails under this build (bounds on time) still counts.
ctest --preset coverage -j "$(nproc)" "$@" || echo "coverage.sh: some tests failed; see above" >&2

mkdir -p build/coverage/report
gcovr --root . --filter 'ipc/' --object-directory build/coverage --exclude-throw-branches \
    --exclude-unreachable-branches --html-details build/coverage/report/index.html \
    --json build/coverage/report/lines.json
for measure in line branch; do
    branches=()
    [[ $measure == line ]] || branches=(--branches)
    gcovr --root . --add-tracefile build/coverage/report/lines.json --exclude-throw-branches \
        "${branches[@]}"
done
