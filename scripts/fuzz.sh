#!/usr/bin/env bash
# Builds the fuzzers with clang and runs each for FUZZ_SECONDS. What they find stays in build/fuzz/crashes/.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-10}
scripts/configure.sh build/fuzz -DKILN_TARGET=fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++
ninja -C build/fuzz -j"${JOBS:-$(nproc)}" --quiet
mkdir -p build/fuzz/crashes
passed=0
failed=0
while IFS=$'\t' read -r name program seeds; do
    corpus=build/fuzz/corpus/$name
    mkdir -p "$corpus"
    if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix="build/fuzz/crashes/$name-" "$corpus" "$seeds" > "build/fuzz/$name.log" 2>&1; then
        echo "fuzz: $name: nothing found in $seconds s"
        passed=$((passed + 1))
    else
        echo "fuzz: $name: FAILED"
        tail -n 40 "build/fuzz/$name.log"
        failed=$((failed + 1))
    fi
done < build/fuzz/fuzzers.list
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
