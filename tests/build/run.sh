#!/usr/bin/env bash
# Proves what the build promises, on a small tree of its own that uses the real cmake/, scripts/ and top-level files:
# each mistake is an error that names its cause, and a changed option rebuilds what depends on it and nothing else.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CCACHE_DISABLE=1 CCACHE_DIR=$work/ccache
passed=0
failed=0

report() { # STATUS NAME [LOG]
    if [ "$1" = 0 ]; then
        echo "ok      $2"
        passed=$((passed + 1))
    else
        echo "FAILED  $2"
        [ -z "${3:-}" ] || sed 's/^/        /' "$3"
        failed=$((failed + 1))
    fi
}

new_tree() { # a tree with the libraries low (layer 1, option LOW_LIMIT) and high (layer 3, uses low)
    rm -rf "$work/tree"
    mkdir -p "$work/tree"
    cd "$work/tree" || exit 1
    cp "$root/CMakeLists.txt" "$root/Kconfig" .
    cp -r "$root/cmake" "$root/scripts" .
    sed -n 's/^ *add_subdirectory(\(.*\))$/\1/p' CMakeLists.txt | while read -r folder; do
        mkdir -p "$folder"
        : > "$folder/CMakeLists.txt"
    done
    mkdir -p configs kernel/low/include/kiln/low kernel/low/src kernel/high/include/kiln/high kernel/high/src
    cp "$root/kernel/CMakeLists.txt" "$root/kernel/Kconfig" kernel/
    : > configs/default.config
    echo 'kiln_library(NAME abi LAYER 0 INTERFACE)' > abi/CMakeLists.txt
    printf 'config LOW_LIMIT\n    int "limit"\n    range 1 100\n    default 10\n\nconfig HIGH\n    bool "high"\n    default y\n\nconfig HIGH_EXTRA\n    bool "extra"\n    depends on HIGH\n' > kernel/low/Kconfig
    echo 'kiln_library(NAME low LAYER 1 SRCS limit.cpp plain.cpp)' > kernel/low/CMakeLists.txt
    printf '#pragma once\nnamespace kiln::low {\nint limit();\n}\n' > kernel/low/include/kiln/low/limit.hpp
    printf '#include <config/low_limit.hpp>\n#include <kiln/low/limit.hpp>\nint kiln::low::limit() { return config::low_limit; }\n' > kernel/low/src/limit.cpp
    printf '#include <kiln/low/limit.hpp>\nint plain() { return 1; }\n' > kernel/low/src/plain.cpp
    echo 'kiln_library(NAME high LAYER 3 DEPS low SRCS high.cpp CONFIG HIGH)' > kernel/high/CMakeLists.txt
    printf '#pragma once\nint high();\n' > kernel/high/include/kiln/high/high.hpp
    printf '#include <kiln/high/high.hpp>\n#include <kiln/low/limit.hpp>\nint high() { return kiln::low::limit(); }\n' > kernel/high/src/high.cpp
}

configure() { cmake -S . -B build -G Ninja -DKILN_TARGET=guest "$@" > log 2>&1; }

expect_error() { # NAME PATTERN [CMAKE_OPTION…]: configuring must fail and say PATTERN
    local name=$1 pattern=$2 status=1
    shift 2
    if ! configure "$@" && tr '\n' ' ' < log | tr -s ' ' | grep -qE "$pattern"; then status=0; fi
    report $status "$name" log
}

new_tree
configure && ninja -C build > log 2>&1
report $? "a correct tree configures and builds" log

# ---- configuration
new_tree
echo 'CONFIG_LOW_LIMITT=3' > configs/default.config
expect_error "unknown symbol in a configuration" 'default.config:1: unknown symbol CONFIG_LOW_LIMITT'
new_tree
printf '# CONFIG_HIGH is not set\nCONFIG_HIGH_EXTRA=y\n' > configs/default.config
expect_error "assignment against a dependency" 'CONFIG_HIGH_EXTRA=y does not take effect .*depends on: HIGH'
new_tree
echo 'CONFIG_LOW_LIMIT=1000' > configs/default.config
expect_error "value out of range" 'CONFIG_LOW_LIMIT=1000 does not take effect'
new_tree
printf 'CONFIG_OPTIMIZE_SIZE=y\nCONFIG_OPTIMIZE_PERFORMANCE=y\n' > configs/default.config
expect_error "two members of one choice" 'CONFIG_OPTIMIZE_SIZE=y does not take effect .*its choice has OPTIMIZE_PERFORMANCE'
new_tree
echo 'CONFIG_LOW_LIMIT=abc' > configs/default.config
expect_error "value of the wrong type" 'CONFIG_LOW_LIMIT=abc: not a valid int'
new_tree
echo 'LOW_LIMIT 3' > configs/default.config
expect_error "a line that is no assignment" 'default.config:1: not of the form'
new_tree
expect_error "unknown configuration" 'no configuration .*nosuch; there are: default' -DKILN_CONFIG=nosuch
new_tree
sed -i 's/depends on HIGH/depends on HIHG/' kernel/low/Kconfig
expect_error "Kconfig that names an undefined symbol" 'HIHG'

# ---- libraries
new_tree
sed -i 's/LAYER 1/LAYER 1 DEPS high/' kernel/low/CMakeLists.txt
expect_error "dependency on a higher layer" 'layer violation: library low \(layer 1, .*\) depends on high'
new_tree
sed -i 's/LAYER 1/LAYER 3 DEPS high/' kernel/low/CMakeLists.txt
expect_error "cycle" 'cycle: (high -> low -> high|low -> high -> low)'
new_tree
sed -i 's/DEPS low/DEPS lwo/' kernel/high/CMakeLists.txt
expect_error "unknown dependency" 'library high .* DEPS names lwo, and no kiln_library'
new_tree
mkdir kernel/again && cp -r kernel/low/* kernel/again/ && rm kernel/again/Kconfig
expect_error "library declared twice" 'library low is declared twice'
new_tree
sed -i 's/CONFIG HIGH/CONFIG HIGHH/' kernel/high/CMakeLists.txt
expect_error "library of an unknown symbol" 'library high: CONFIG HIGHH: no Kconfig file defines'
new_tree
sed -i 's/SRCS/SOURCES/' kernel/high/CMakeLists.txt
expect_error "misspelled argument" 'library high: unknown arguments'
new_tree
sed -i 's/high.cpp/hihg.cpp/' kernel/high/CMakeLists.txt
expect_error "missing source" 'library high: no source hihg.cpp'
new_tree
mkdir -p kernel/top/src && echo 'int top() { return 1; }' > kernel/top/src/top.cpp
echo 'kiln_library(NAME top LAYER 5 DEPS high SRCS top.cpp)' > kernel/top/CMakeLists.txt
expect_error "dependency that the configuration leaves out" \
    'library top is in this configuration and depends on high, which CONFIG_HIGH=n' -DKILN_SET=HIGH=n
sed -i 's/DEPS high/OPTIONAL_DEPS high/' kernel/top/CMakeLists.txt
configure -DKILN_SET=HIGH=n && ninja -C build > log 2>&1 && ! find build -name high.cpp.o | grep -q .
report $? "a library left out is not compiled, an optional dependant is" log

# ---- includes
new_tree
sed -i 's/ DEPS low//' kernel/high/CMakeLists.txt
configure && ! ninja -C build > log 2>&1 && grep -q 'kiln/low/limit.hpp: No such file' log
report $? "an undeclared dependency's header does not compile" log
new_tree
mkdir -p kernel/top/src && printf '#include <kiln/low/limit.hpp>\n' > kernel/top/src/top.cpp
echo 'kiln_library(NAME top LAYER 5 DEPS high SRCS top.cpp)' > kernel/top/CMakeLists.txt
configure && ! scripts/check_includes.py build/libraries.json > log 2>&1 &&
    grep -q 'top.cpp:1: undeclared-include: <kiln/low/limit.hpp> belongs to low, which library top does not name' log
report $? "a header reached only through another library is found" log
new_tree
echo '#include <string>' >> kernel/low/src/plain.cpp
echo 'void stop() { asm volatile("hlt"); }' >> kernel/low/src/plain.cpp
configure && ! scripts/check_includes.py build/libraries.json > log 2>&1 && grep -q 'freestanding-headers: <string>' log &&
    grep -q 'cpu-code' log
report $? "hosted headers and assembler in common code are found" log
new_tree
echo 'inline kiln::Missing oops();' >> kernel/low/include/kiln/low/limit.hpp
configure && ! ninja -C build headers_check > log 2>&1
report $? "a header that does not stand by itself is found" log

# ---- spelling of symbols
new_tree
git init -q . && echo '#include <config/low_limt.hpp>' >> kernel/low/src/plain.cpp
! scripts/check_symbols.py > log 2>&1 && grep -q 'plain.cpp:3: unknown-symbol: CONFIG_LOW_LIMT' log &&
    grep -q 'unused-symbol: nothing looks at CONFIG_HIGH_EXTRA' log
report $? "a misspelled symbol in a source and an unused one are found" log

# ---- rebuilding
new_tree
configure && ninja -C build > /dev/null 2>&1
touch before
sleep 0.02
echo 'CONFIG_LOW_LIMIT=20' > configs/default.config
ninja -C build > log 2>&1
rebuilt=$(find build -name '*.o' -newer before -printf '%f ' | sort)
[ "$rebuilt" = "limit.cpp.o " ]
report $? "a changed option rebuilds the one file that looks at it (rebuilt: $rebuilt)" log
echo 'CONFIG_LOW_LIMIT=20 ' > configs/default.config
touch before
sleep 0.02
ninja -C build > log 2>&1 && [ -z "$(find build -name '*.o' -newer before)" ]
report $? "a configuration touched without effect rebuilds nothing" log
printf 'config NEW_ONE\n    bool "new"\n' > kernel/high/Kconfig
touch before
sleep 0.02
ninja -C build > log 2>&1 && [ -f build/include/config/new_one.hpp ] && [ -z "$(find build -name '*.o' -newer before)" ]
report $? "a new Kconfig file is picked up and rebuilds nothing" log

# ---- tests and fuzzers
new_tree
mkdir -p kernel/low/seeds/limit kernel/stand/src
printf 'ok' > kernel/low/seeds/limit/one
echo 'kiln_library(NAME low LAYER 1 SRCS limit.cpp GUEST_SRCS plain.cpp TESTS limit_test.cpp FUZZ limit_fuzz.cpp)' > kernel/low/CMakeLists.txt
# The host has no machine(): a library with HOST_SRCS alone stands in for it.
echo 'kiln_library(NAME stand LAYER 1 HOST_SRCS stand.cpp)' > kernel/stand/CMakeLists.txt
echo 'int machine() { return 5; }' > kernel/stand/src/stand.cpp
cat > kernel/low/src/limit_test.cpp <<'END'
#include <gtest/gtest.h>
#include <kiln/low/limit.hpp>
int machine();
TEST(Limit, IsTheDefault) { EXPECT_EQ(kiln::low::limit() + machine(), 15); }
TEST(Limit, Fails) { EXPECT_EQ(kiln::low::limit(), 11); }
END
cat > kernel/low/src/limit_fuzz.cpp <<'END'
#include <cstddef>
#include <cstdint>
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 2 && data[0] == 'o' && data[1] != 'k') return data[size];
    return 0;
}
END
configure -DKILN_TARGET=host && ninja -C build > log 2>&1 &&
    ! ctest --test-dir build -R low_test --output-on-failure > log 2>&1 && grep -q 'PASSED.* 1 test' log && grep -q 'FAILED.* 1 test' log
report $? "unit tests are built with their stand-ins, and one that fails is seen" log
! ctest --test-dir build -R limit_fuzz --output-on-failure > log 2>&1 && grep -q heap-buffer-overflow log
report $? "a fuzz target's seeds are mutated, and ASan sees a read beyond the end" log
rm kernel/low/seeds/limit/one && rmdir kernel/low/seeds/limit
expect_error "a fuzzer without seeds" 'fuzzer limit_fuzz has no seeds' -DKILN_TARGET=host

# ---- images
new_tree
cp -r "$root/abi" "$root/kernel/base" "$root/kernel/kallsyms" . && mv base kallsyms kernel/
mkdir -p kernel/arch/x86_64/src kernel/trace/src
cat > kernel/arch/x86_64/kernel.ld <<'END'
ENTRY(_start)
SECTIONS {
  . = 0xffffffff80100000;
  .text : { *(.text .text.*) }
  .rodata : { *(.rodata .rodata.*) __start_reg = .; KEEP(*(.reg)) __stop_reg = .; }
  .data : { *(.data .data.*) }
  .bss : { *(.bss .bss.* COMMON) }
  .comment 0 : { *(.comment) } .symtab 0 : { *(.symtab) } .strtab 0 : { *(.strtab) } .shstrtab 0 : { *(.shstrtab) }
  .debug_info 0 : { *(.debug_*) } .rela.dyn 0 : { *(.rela.*) } .got 0 : { *(.got* .igot*) } .plt 0 : { *(.plt .iplt) }
  /DISCARD/ : { *(.note.*) }
}
END
cat > kernel/trace/src/trace.cpp <<'END'
#include <kiln/base/panic.hpp>
#include <kiln/kallsyms/kallsyms.hpp>
[[gnu::section(".reg"), gnu::used]] constinit const int registered_and_never_named = 42;
void unreferenced() {}
extern "C" void _start() {
    char name[32];
    while (kiln::kallsyms::find(reinterpret_cast<unsigned long>(&_start), name)) {}
}
extern "C" int memcmp(const void*, const void*, unsigned long) { return 0; }
extern "C" void* memcpy(void* to, const void*, unsigned long) { return to; }
[[noreturn]] void kiln::panic(std::string_view) { for (;;) {} }
END
echo 'kiln_library(NAME trace LAYER 3 DEPS base kallsyms SRCS trace.cpp)' > kernel/trace/CMakeLists.txt
echo 'kiln_image(NAME kiln)' > apps/CMakeLists.txt
configure && ninja -C build > log 2>&1 && nm build/kiln.elf.dbg > symbols &&
    grep -q kiln_kallsyms_table symbols && grep -q registered_and_never_named symbols && ! grep -q unreferenced symbols &&
    ! nm build/kiln.elf 2> /dev/null | grep -q . && [ "$(stat -c %s build/kiln.elf)" -lt "$(stat -c %s build/kiln.elf.dbg)" ]
report $? "an image keeps what is registered, drops what is not reached, and has a symbol table" log
scripts/size.py build/kiln.elf.dbg.map > log 2>&1 && grep -qE '^trace +[1-9]' log
report $? "the size report has a row per library" log
sed -i 's/\.text : { .* }/.rodata0 : { *(.rodata.kallsyms) }\n  &/' kernel/arch/x86_64/kernel.ld
! ninja -C build > log 2>&1 && grep -q 'functions moved when the table was added' log
report $? "a linker script that makes the symbol table wrong is an error" log

echo "$passed passed, $failed failed"
[ $failed = 0 ]
