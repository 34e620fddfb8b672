#!/usr/bin/env bash
# Installs the Debian packages of the given sets, if any is missing; as root, or through sudo.
#   tools/install-packages.sh SET...
# build: library, examples, tools, and the commands of README.md    test: what the tests need besides
# ci: what .ci/run needs besides
# coverage, fuzz: what the script of that name needs besides    peers: what ipc-bench compares with
set -euo pipefail

packages_of() {
    case $1 in
    build) echo cmake curl ninja-build g++ libboost-dev libcli11-dev libfmt-dev libncurses-dev \
        nlohmann-json3-dev pkg-config prometheus-cpp-dev ;;
    test) echo gcc libgtest-dev libgmock-dev libbenchmark-dev spin tmux ;;
    ci) echo git python3 clang clang-format clang-tidy libclang-rt-14-dev g++-aarch64-linux-gnu \
        googletest qemu-user-static valgrind ;;
    coverage) echo gcovr ;;
    fuzz) echo clang libclang-rt-14-dev ;;
    peers) echo pkg-config libzmq3-dev libnng-dev iceoryx libiceoryx-posh-dev cyclonedds-dev ;;
    *)
        echo "install-packages.sh: unknown set '$1'; there are build, test, ci, coverage, fuzz and peers" >&2
        exit 2
        ;;
    esac
}

missing=()
for set in "$@"; do
    packages=$(packages_of "$set")
    for package in $packages; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [[ $state == installed ]] || missing+=("$package")
    done
done
((${#missing[@]})) || exit 0

root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "These packages are missing, and this is neither root nor is there sudo:" >&2
        echo "  apt-get install ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi

echo "Installing packages: ${missing[*]}"
apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "install-packages.sh: apt-get failed; its last lines are above" >&2
    exit 1
fi
