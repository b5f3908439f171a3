#!/usr/bin/env bash
# usage: configure.sh BUILD_DIR [CMAKE_OPTION…]: configures a build directory once; ninja repeats it when needed.
set -euo pipefail
build=$1
shift
cd "$(dirname "$0")/.."
if [ ! -f "$build/build.ninja" ]; then
    mkdir -p "$build"
    if ! cmake -S . -B "$build" -G Ninja "$@" > "$build/configure.log" 2>&1; then
        cat "$build/configure.log" >&2
        rm -f "$build/CMakeCache.txt"
        exit 1
    fi
fi
