#!/usr/bin/env bash
# Everything that wants a GPU in one go: builds, runs the tests labelled gpu (a skip is a failure) and the GPU benchmarks, and
# prints their figures. Needs the CUDA set of LibTorch and nvcc (scripts/setup --cuda --tests).
#
#   tests/bench/gpu.sh [BUILD_FOLDER]    default build/gpu
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/gpu}
mkdir -p "$(dirname "$build")"
export OMP_WAIT_POLICY=PASSIVE FRUGAL_REQUIRE_GPU=1

echo "== machine"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)

echo "== build, sm_$capability"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFRUGAL_TESTS=ON -DFRUGAL_BENCH=ON -DFRUGAL_CUDA=ON \
  -DFRUGAL_CUDA_ARCHITECTURES="$capability" > "$build.configure.log" 2>&1 || { cat "$build.configure.log"; exit 1; }
cmake --build "$build" --target frugal_cuda frugal_kernels_test frugal_kernels_gpu_test frugal_layerwise_gpu_test \
  frugal_cuda_sweep_bench frugal_sweep_bench | tail -n 1

echo "== tests"
failed=0
ctest --test-dir "$build" -L gpu --output-on-failure || failed=1

echo "== benchmarks"
export FRUGAL_CUDA_MODULE=$PWD/$build/bin/libfrugal_cuda.so
"$build/tests/bench/kernels/frugal_cuda_sweep_bench" || failed=1
echo "== the same on the CPU, one thread"
OMP_NUM_THREADS=1 "$build/tests/bench/kernels/frugal_sweep_bench" --benchmark_filter='sweep/.*/128|sweep/.*q4_k/256' || failed=1
exit $failed
