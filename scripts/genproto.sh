#!/usr/bin/env bash
# Generates sindbad/v1/ from protos/sindbad/v1/ (messages, gRPC stubs, type stubs). Output is committed.
# Usage: scripts/genproto.sh [OUTPUT_ROOT]   (default: the repository; a test passes a temporary folder and compares)
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
out="${1:-$root}"
python="${PYTHON:-$root/.venv/bin/python}"
[ -x "$python" ] || python="$(command -v python3)"
# protoc finds protoc-gen-mypy beside the interpreter.
PATH="$(dirname "$python"):$PATH"
mkdir -p "$out/sindbad/v1"
cd "$root/protos"
"$python" -m grpc_tools.protoc -I . --python_out="$out" --grpc_python_out="$out" --mypy_out=quiet:"$out" sindbad/v1/*.proto
if [ ! -f "$out/sindbad/v1/__init__.py" ]; then
  printf '"""Generated from protos/sindbad/v1 by scripts/genproto.sh; never edited."""\n' > "$out/sindbad/v1/__init__.py"
fi
