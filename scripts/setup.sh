#!/usr/bin/env bash
# usage: setup.sh GROUP…: installs the Debian packages of the groups that are missing. Quiet when none is.
set -euo pipefail

packages=$(dirname "$0")/packages
wanted=""
for group in "$@"; do
    line=$(sed -n "s/^$group: //p" "$packages")
    [ -n "$line" ] || { echo "setup: no group $group in $packages" >&2; exit 2; }
    wanted+=" $line"
done

missing=""
for package in $wanted; do
    dpkg-query -W -f '${Status}\n' "$package" 2> /dev/null | grep -q '^install ok installed$' || missing+=" $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo > /dev/null; then
    as_root=sudo
else
    echo "setup: these packages are missing, and only root can install them:$missing" >&2
    exit 1
fi
echo "setup: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 "$@" > "$log" 2>&1 < /dev/null; }
# shellcheck disable=SC2086
apt install --no-install-recommends $missing || { apt update && apt install --no-install-recommends $missing; } || {
    cat "$log" >&2
    echo "setup: apt-get failed; missing:$missing" >&2
    exit 1
}
