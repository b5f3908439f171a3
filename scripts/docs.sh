#!/usr/bin/env bash
# Generates docs/syscalls/README.md from the system call table, by the tool that prints it on the host.
set -euo pipefail
cd "$(dirname "$0")/.."
generator=build/host/syscall_docs
if [ ! -x "$generator" ]; then
    echo "docs: no $generator: the library syscalls does not build it yet" >&2
    exit 1
fi
mkdir -p docs/syscalls
"$generator" > docs/syscalls/README.md
echo "docs/syscalls/README.md"
