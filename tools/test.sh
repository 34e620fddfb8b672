#!/usr/bin/env bash
# Builds ipc in release mode and runs its tests on Debian 12; installs the packages that are missing.
#   tools/test.sh [--quick] [CTEST-OPTION...]
# --quick leaves out the tests that take minutes. Everything else goes to ctest, e.g. -R tools_test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options=()
for argument in "$@"; do
    case $argument in
    --quick) options+=(-L '^quick$') ;;
    -h | --help)
        sed -n '2,4s/^# *//p' tools/test.sh
        exit 0
        ;;
    *) options+=("$argument") ;;
    esac
done

tools/install-packages.sh build test
cmake --preset release
cmake --build --preset release
ctest --preset release -j "$(nproc)" "${options[@]}"
