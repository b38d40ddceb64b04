#!/bin/sh
# `make run`: installs what is missing, builds the release binary, starts Portolan and stays in
# the foreground. Data goes to ./data, or to PORTOLAN_DATA_DIR.
. "$(dirname "$0")/lib.sh"

scripts/setup.sh run
say "building (the first time takes some minutes)"
SQLX_OFFLINE=true cargo build --release --locked
exec target/release/portolan serve --data-dir "${PORTOLAN_DATA_DIR:-data}"
