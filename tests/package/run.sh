#!/usr/bin/env bash
# One step of the package test:
#   run.sh install|find_package|pkg_config|subdirectory static|shared SOURCE WORK CMAKE CXX VERSION
set -euo pipefail

step=$1 kind=$2 source=$3 work=$4 cmake=$5 cxx=$6 version=$7
consumer=$source/tests/package/consumer
prefix="$work/a prefix" # pkg-config, CMake and the loader must cope with the space
build=$work/$step
[[ $kind == shared ]] && shared=ON || shared=OFF

fail() {
    echo "package test ($kind, $step): $*" >&2
    exit 1
}

configure_and_build() {
    "$cmake" -G Ninja -B "$build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$cxx" "$@"
    "$cmake" --build "$build"
}

# Runs the consumer and checks which library it took.
run_consumer() {
    local program=$1 folder=${2:-}
    LD_LIBRARY_PATH=$folder "$program"
    local needed
    needed=$(readelf -d "$program" | grep -c 'NEEDED.*libipc\.so\.[0-9]' || true)
    if [[ $kind == shared ]]; then
        [[ $needed == 1 ]] || fail "the program does not need libipc.so"
    else
        [[ $needed == 0 ]] || fail "the program needs libipc.so"
    fi
}

rm -rf "$build"
mkdir -p "$build"

case $step in
install)
    rm -rf "$prefix" "$work/first"
    # The tools are the same whatever the library's kind; what they have to find is a shared one.
    configure_and_build -S "$source" -DBUILD_SHARED_LIBS="$shared" -DIPC_BUILD_TESTS=OFF \
        -DIPC_BUILD_BENCHMARKS=OFF -DIPC_BUILD_EXAMPLES=OFF -DIPC_BUILD_TOOLS="$shared" \
        -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_PREFIX="$work/first"
    "$cmake" --install "$build"
    # An installed tree can be moved: nothing in it may name the folder it was installed to.
    mv "$work/first" "$prefix"
    if grep -rIl -e "$work/first" -e "$source" "$prefix"; then
        fail "the files above name the build"
    fi
    (cd "$source" && find ipc -name '*.hpp' | sort) >"$build/headers.source"
    (cd "$prefix/include" && find ipc -type f | sort) >"$build/headers.installed"
    diff "$build/headers.source" "$build/headers.installed" || fail "headers differ"
    if [[ $kind == shared ]]; then
        strangers=$(nm -DC --defined-only "$prefix/lib/libipc.so" |
            awk '$2 ~ /[TDBR]/' | grep -v ' ipc::' || true)
        [[ -z $strangers ]] || fail "exports more than ipc's own symbols: $strangers"
        readelf -d "$prefix/lib/libipc.so" | grep SONAME
        for tool in send recv peek rm monitor; do
            env -u LD_LIBRARY_PATH "$prefix/bin/ipc-$tool" --help >/dev/null ||
                fail "ipc-$tool does not run where it was installed to"
        done
        for document in ipc-monitor.md grafana.json; do
            [[ -s $prefix/share/doc/ipc/$document ]] || fail "$document is not installed"
        done
    fi
    ;;
find_package)
    configure_and_build -S "$consumer" -DCMAKE_PREFIX_PATH="$prefix" -DIPC_VERSION="$version"
    run_consumer "$build/consumer"
    ;;
pkg_config)
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
    [[ $(pkg-config --modversion ipc) == "$version" ]] || fail "wrong version in ipc.pc"
    [[ $kind == static ]] && static=--static || static=
    # pkg-config escapes the space for a shell, so a shell has to read what it says.
    # shellcheck disable=SC2086 # no option is no word
    eval "\"\$cxx\" -std=c++20 $(pkg-config --cflags ipc) \"\$consumer/main.cpp\" \
        -o \"\$build/consumer\" $(pkg-config $static --libs ipc)"
    run_consumer "$build/consumer" "$prefix/lib"

    # What else depends on how the library was configured.
    include="$work/an include"
    "$cmake" -G Ninja -S "$source" -B "$build/other" -DCMAKE_CXX_COMPILER="$cxx" \
        -DBUILD_SHARED_LIBS="$shared" -DIPC_STATISTICS=OFF -DIPC_BUILD_TESTS=OFF \
        -DIPC_BUILD_BENCHMARKS=OFF -DIPC_BUILD_EXAMPLES=OFF -DIPC_BUILD_TOOLS=OFF \
        -DCMAKE_INSTALL_INCLUDEDIR="$include" >"$build/other.log"
    flags=()
    eval "flags=($(pkg-config --cflags "$build/other/ipc/ipc.pc"))"
    [[ ${flags[0]} == "-I$include" ]] || fail "the folder of the headers is not one flag: ${flags[*]}"
    [[ ${flags[1]} == -DIPC_WITHOUT_STATISTICS ]] || fail "ipc.pc lacks a definition: ${flags[*]}"
    [[ $(pkg-config --cflags ipc) != *-D* ]] || fail "ipc.pc has a definition too many"
    ;;
subdirectory)
    options=()
    [[ $kind == shared ]] && options+=(-DBUILD_SHARED_LIBS=ON) # else it is left to the consumer
    configure_and_build -S "$consumer" -DIPC_SOURCE_DIR="$source" "${options[@]}"
    run_consumer "$build/consumer"
    ;;
*)
    fail "unknown step"
    ;;
esac
