#!/usr/bin/env bash
# Runs the pinned buf in protos/. `scripts/buf.sh lint`, `scripts/buf.sh breaking`, `scripts/buf.sh release`.
# buf comes from npm (its binary is an optional dependency of the package) into .cache/buf, without a lock file.
set -euo pipefail
version=1.75.0
root="$(cd "$(dirname "$0")/.." && pwd)"
home="$root/.cache/buf/$version"
if [ ! -x "$home/node_modules/.bin/buf" ]; then
  mkdir -p "$home"
  (cd "$home" && npm install --silent --no-audit --no-fund --no-save --no-package-lock "@bufbuild/buf@$version") >&2
fi
buf="$home/node_modules/.bin/buf"
cd "$root/protos"
case "${1:-lint}" in
  lint) exec "$buf" lint ;;
  # The image of the last release: a change that would break its clients fails here.
  breaking) exec "$buf" breaking --against released.binpb ;;
  # At a release only: what is there now becomes what must not break.
  release) exec "$buf" build --exclude-source-info -o released.binpb ;;
  *) exec "$buf" "$@" ;;
esac
