#!/usr/bin/env bash
# Conformance tests: each family on Linux first, then in the guest. Arguments: see run_conformance.py --help.
exec /usr/bin/python3 "$(dirname "$0")/conformance/run_conformance.py" "$@"
