#!/usr/bin/env bash
# The checks of `make check`, cheapest first; all run, the first failure does not hide the others.
set -uo pipefail
cd "$(dirname "$0")/.."
python=/usr/bin/python3
jobs=${JOBS:-$(nproc)}
failures=0
names=""

check() { # NAME COMMAND…
    local name=$1 start=$SECONDS
    shift
    if "$@"; then
        echo "check: $name: ok ($((SECONDS - start)) s)"
    else
        echo "check: $name: FAILED"
        failures=$((failures + 1))
        names+=" $name"
    fi
}

format() { git ls-files -co --exclude-standard '*.cpp' '*.hpp' | while read -r f; do [ -f "$f" ] && echo "$f"; done |
    xargs -P "$jobs" -n 20 clang-format --dry-run -Werror; }
shell_syntax() {
    local status=0
    while read -r f; do
        case $(head -n 1 "$f" 2> /dev/null | tr -d '\0') in
            '#!'*bash) bash -n "$f" || status=1 ;;
            '#!'*/sh) sh -n "$f" || status=1 ;;
        esac
    done < <(git ls-files -co --exclude-standard scripts tests tools .ci | grep -vE '\.(cpp|hpp|py)$')
    return $status
}
configurations() {
    local status=0 config
    for config in configs/*.config; do
        $python scripts/kconfig.py generate --srctree . --config "$config" --out build/check/config || status=1
    done
    return $status
}
headers() { ninja -C build/kernel/default -j"$jobs" --quiet headers_check; }
tidy() { $python scripts/tidy.py -j "$jobs" build/host build/kernel/default; }

mkdir -p build/check/config
check configurations configurations
check symbols $python scripts/check_symbols.py
check format format
check shell-syntax shell_syntax
if scripts/configure.sh build/host -DKILN_TARGET=host &&
    scripts/configure.sh build/kernel/default -DKILN_TARGET=guest -DKILN_CONFIG=default; then
    # What ninja would do first: CMake again when a list of sources has changed.
    ninja -C build/host --quiet build.ninja && ninja -C build/kernel/default --quiet build.ninja
    check includes $python scripts/check_includes.py build/host/libraries.json build/kernel/default/libraries.json
    check headers headers
    # TIDY=no leaves out what takes longest.
    [ "${TIDY:-yes}" = no ] || check tidy tidy
else
    check configure false
fi

if [ $failures -gt 0 ]; then
    echo "check: failed:$names"
    exit 1
fi
echo "check: all passed"
