#!/usr/bin/env bash
# The environments of the tools that against_peers.py compares with, pinned, one each (they conflict), from PyPI.
#
#   tests/bench/quality/setup_peers.sh FOLDER [gptqmodel|llmcompressor|autoround|llama]...    (all four where none is named)
#
# auto-round and llm-compressor take the torch 2.11 in the site-packages TORCH_SITE (those of scripts/setup, .venv), where there is one;
# GPTQModel wants a newer one, 5.6 GiB with its CUDA libraries. llama-cpp-python compiles on install, some minutes. A second call finds
# everything in place.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1; shift
[ $# -gt 0 ] || set -- gptqmodel llmcompressor autoround llama

tokenizers="sentencepiece==0.2.3"  # they convert tokenizer.model with it and protobuf
for peer in "$@"; do
  shared=0
  case "$peer" in
    gptqmodel) wheels="gptqmodel==7.7.0 torch==2.15.0 transformers==5.23.0 protobuf==7.36.2" ;;
    llmcompressor) wheels="llmcompressor==0.14.0.1 transformers==5.17.0 protobuf==6.33.0" shared=1 ;;
    autoround) wheels="auto-round==0.16.1 transformers==5.23.0 protobuf==6.33.0" shared=1 ;;
    llama) wheels="llama-cpp-python==0.3.36" ;;
    *) echo "setup_peers: unknown peer '$peer'; one of gptqmodel, llmcompressor, autoround, llama" >&2; exit 2 ;;
  esac
  [ -x "$folder/$peer/bin/python" ] || python3 -m venv "$folder/$peer"
  if [ $shared = 1 ]; then
    site=${TORCH_SITE:-$(echo "$root"/.venv/lib/python3*/site-packages)}
    if [ -d "$site/torch" ]; then
      echo "$site" > "$(echo "$folder/$peer"/lib/python3*/site-packages)/shared.pth"
    else
      wheels="$wheels torch==2.11.0"
    fi
  fi
  echo "setup_peers: $peer: $wheels"
  # shellcheck disable=SC2086
  CMAKE_ARGS=-DLLAMA_OPENSSL=OFF "$folder/$peer/bin/python" -m pip install -q --disable-pip-version-check $wheels $tokenizers
done
