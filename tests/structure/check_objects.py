#!/usr/bin/env python3
"""Objects compiled for another instruction set share no function with the rest of the program.

    check_objects.py NM OBJECT...

The linker keeps one copy of an inline function. Were it the copy of a source behind `#pragma GCC target("avx512...")`, every
caller would need that instruction set, and the program would stop with SIGILL on a CPU without it.
"""
import subprocess
import sys


def main():
    checked = breaches = 0
    for path in (path for argument in sys.argv[2:] for path in argument.split(";")):
        if "_avx" not in path:
            continue
        checked += 1
        listing = subprocess.run([sys.argv[1], "--demangle", "--defined-only", path], check=True, capture_output=True, text=True)
        for line in listing.stdout.splitlines():
            kind, name = line[17:18], line[19:]
            if kind in "WVu":
                breaches += 1
                print(f"{path}: defines '{name}', which the linker may take for every caller; keep inline functions out of it")
    if not checked:
        print("check_objects: no object for another instruction set among the arguments")
        breaches = 1
    print(f"check_objects: {checked} objects, {breaches} breaches")
    sys.exit(1 if breaches else 0)


main()
