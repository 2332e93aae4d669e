#!/usr/bin/env bash
# Checks and times lmc on this machine's NVIDIA GPU, in under nine minutes:
#   ./run.sh [STAGE...]      all stages, or those named (./run.sh --list)
# Results are appended to results.jsonl as they come; a table closes the run. Exit code 0: every
# stage ran and every check held.
# PYTHON names the Python that has PyTorch (default: python3).
set -u
cd "$(dirname "$0")"
export PYTHON=${PYTHON:-python3} PYTHONDONTWRITEBYTECODE=1
exec "$PYTHON" run.py "$@"
