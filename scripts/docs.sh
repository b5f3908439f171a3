#!/usr/bin/env bash
# Generates docs/syscalls/README.md from the system call table.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p docs/syscalls
scripts/syscalls.py markdown > docs/syscalls/README.md
echo "docs/syscalls/README.md"
