#!/bin/sh
# Runner protocol v1: run.sh --input in.json --output out.json; exit 0 means out.json is valid.
# --persistent: one job a line on stdin.
set -eu
tool=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

# The tool's own environment, if it has one: beside the release folders, or in a publisher's folder.
for python in "$tool/../../venv/bin/python" "$tool/venv/bin/python"; do
    if [ -x "$python" ]; then
        exec "$python" "$tool/main.py" "$@"
    fi
done
exec python3 "$tool/main.py" "$@"
