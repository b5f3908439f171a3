#!/usr/bin/env bash
# Unmodified programs in the guest: run-programs.sh quick|long|all [NAME…]. See programs/run_programs.py.
exec /usr/bin/python3 "$(dirname "$0")/programs/run_programs.py" "$@"
