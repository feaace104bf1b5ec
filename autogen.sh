#!/bin/sh
# Makes ./configure from configure.ac. Needed once after a checkout.
set -e
cd "$(dirname "$0")"
mkdir -p scripts/build-aux
exec autoreconf --force --install --warnings=all,no-obsolete "$@"
