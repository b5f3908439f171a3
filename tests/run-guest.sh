#!/usr/bin/env bash
# Guest tests: booting, ending, bad input. Arguments are patterns of test names; see guest/run_guest.py.
exec /usr/bin/python3 "$(dirname "$0")/guest/run_guest.py" "$@"
