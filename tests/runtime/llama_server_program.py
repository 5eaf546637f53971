"""llama-server as the wheel xllamacpp has it: the same server, started as llama.cpp's own program is."""
import os
import sys
from pathlib import Path

PROGRAM = """#!{python}
import argparse, sys, time
import xllamacpp as xlc
if sys.argv[1:] == ["--version"]:
    sys.exit("version: {version}")
parser = argparse.ArgumentParser()
for name in ("-m", "--host", "--cache-type-k", "--cache-type-v"):
    parser.add_argument(name)
for name in ("-c", "-np", "-t", "--port"):
    parser.add_argument(name, type=int)
given, params = parser.parse_args(), xlc.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.hostnames, params.port = given.m, given.c, given.np, [given.host], given.port
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given.t
params.verbosity = 0
server = xlc.Server(params)
time.sleep(1e9)
"""


def put_on_path(folder, version="9999 (wheel)"):
    folder = Path(folder)
    folder.mkdir()
    (folder / "llama-server").write_text(PROGRAM.format(python=sys.executable, version=version))
    (folder / "llama-server").chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
