#!/bin/sh
# The installed `frugal`: takes LibTorch from FRUGAL_TORCH (a folder with lib/libtorch_cpu.so, such as site-packages/torch) where it is
# set, else from beside the installed folder, else from where it was built.
here=$(dirname "$(readlink -f "$0")")
if [ -n "$FRUGAL_TORCH" ]; then
  if [ ! -f "$FRUGAL_TORCH/lib/libtorch_cpu.so" ]; then
    echo "frugal: FRUGAL_TORCH='$FRUGAL_TORCH' holds no lib/libtorch_cpu.so; expected the torch folder of LibTorch 2.11.0" >&2
    exit 2
  fi
  export LD_LIBRARY_PATH="$FRUGAL_TORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
exec "$here/../libexec/frugal/frugal" "$@"
