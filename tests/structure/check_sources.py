#!/usr/bin/env python3
"""What holds for the sources as text. Prints every breach with its place and the remedy; exit code 1 where there is one.

    check_sources.py ROOT

tested      Every lib/<room>/**/<name>.cpp has tests/<room>/**/<name>_test.cpp, or says in its first lines where it is tested:
                // Tested by: tests/kernels/sweep_test.cpp
headers     Every header of lib/ is included by a test, or by a header that is.
names       No room other than lib/architecture spells the name of a tensor or of an architecture, in lib and tools. Files that
            still do stand in tests/structure/model_names_allowed.txt; one that no longer does must leave the list.
levels      No source lets the loader choose between its loops: FRUGAL_CPU_LEVEL would not reach them. lib/grid/instruction_sets.h is asked.
aten        <ATen/ATen.h> is included nowhere: lib/tensor/aten.h is what all precompile.
references  Comments cite published papers and READMEs of this repository, nothing that a reader cannot find.
"""
import pathlib
import re
import sys

FIRST_LINES = 15
TESTED_BY = re.compile(r"^// Tested by: (\S+)$", re.MULTILINE)
NAME = re.compile(
    r"model\.layers\.|model\.norm\b|self_attn|\b[qkvo]_proj\b|\b(?:gate|up|down)_proj\b|embed_tokens|lm_head|"
    r"(?:input|post_attention)_layernorm|(?<!AutoModel)ForCausalLM|\bblk\.|token_embd|attn_(?:q|k|v|output|norm)\b|ffn_(?:gate|up|down|norm)\b")
REFERENCE = re.compile(
    r"shared/design|\b(?:algorithms|architecture|dependencies|energy|evaluation|formats|models|peers|product|rounding|runtimes|"
    r"sparsity|style)\.md\b")
LOADERS_CHOICE = re.compile(r"\b(?:target_clones|ifunc)\b")
TEXT = {".cpp", ".h", ".inc", ".cu", ".py", ".sh", ".cmake", ".txt", ".md", ".js", ".css", ".html", ".yaml", ".in", ""}
NAMES_HOME = "lib/architecture/"
ALLOWED = "tests/structure/model_names_allowed.txt"
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
OWN = "tests/structure/check_sources.py"


def files(root, *folders):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path.relative_to(root).as_posix(), path


def read(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # material of a test
        return ""


def check_tested(root):
    for name, path in files(root, "lib"):
        if path.suffix != ".cpp":
            continue
        room = name.split("/")[1]
        if any((root / "tests" / room).rglob(path.stem + "_test.cpp")):
            continue
        head = "\n".join(read(path).splitlines()[:FIRST_LINES])
        found = TESTED_BY.findall(head)
        if not found:
            yield (f"{name}: neither tests/{room}/{path.stem}_test.cpp nor a line '// Tested by: <file>' in the first "
                   f"{FIRST_LINES} lines; write the test, or say where it is tested")
        for test in found:
            if not (root / test).is_file():
                yield f"{name}: says that it is tested by {test}, which does not exist"


def listed(root, name):
    path = root / name
    lines = read(path).splitlines() if path.is_file() else []
    return {line for line in lines if line and not line.startswith("#")}


def headers_in_tests(root):
    """Headers that tests include, and those that these include in turn."""
    found = set()
    waiting = [name for _, path in files(root, "tests") if path.suffix in {".cpp", ".h", ".cu"} for name in INCLUDE.findall(read(path))]
    while waiting:
        name = waiting.pop()
        path = root / "lib" / name
        if name not in found and path.is_file():
            found.add(name)
            waiting += INCLUDE.findall(read(path))
    return found


def check_headers(root):
    tested = headers_in_tests(root)
    for name, path in files(root, "lib"):
        if path.suffix == ".h" and path.relative_to(root / "lib").as_posix() not in tested:
            yield f"{name}: no test includes it, nor a header that a test includes; write a test of what it declares"


def check_names(root):
    allowed = listed(root, ALLOWED)
    for name, path in files(root, "lib", "tools"):
        if name.startswith(NAMES_HOME) or path.suffix not in {".cpp", ".h", ".inc", ".cu"}:
            continue
        # Examples in comments are for readers.
        code = [line.split("//")[0] for line in read(path).splitlines()]
        found = [(number, NAME.search(line)) for number, line in enumerate(code, 1)]
        found = [(number, match) for number, match in found if match]
        if name in allowed:
            allowed.remove(name)
            if not found:
                yield f"{name}: spells no name of a model any more; take it out of {ALLOWED}"
        elif found:
            number, match = found[0]
            yield (f"{name}:{number}: spells '{match.group()}', a name of a tensor or an architecture; ask "
                   f"lib/architecture for it ({len(found)} such lines)")
    for name in sorted(allowed):
        yield f"{ALLOWED}: {name} does not exist; take it out"


def check_levels(root):
    for name, path in files(root, "lib", "tools"):
        for number, line in enumerate(read(path).splitlines(), 1):
            match = LOADERS_CHOICE.search(line)
            if match:
                yield (f"{name}:{number}: '{match.group()}' picks loops by the CPU alone; ask lib/grid/instruction_sets.h, so that "
                       "FRUGAL_CPU_LEVEL holds for them, too")


def check_aten(root):
    for name, path in files(root, "lib", "tools", "tests"):
        if path.suffix in {".cpp", ".h"} and "#include <ATen/ATen.h>" in read(path):
            yield f'{name}: includes <ATen/ATen.h>, seconds of each build; include "tensor/aten.h" and add what it lacks there'


def check_references(root):
    folders = ["lib", "tools", "tests", "scripts", "cmake", "configs", "pipelines"]
    alone = [(name, root / name) for name in ("CMakeLists.txt", "README.md")]
    for name, path in [*files(root, *folders), *alone]:
        if name == OWN:
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            match = REFERENCE.search(line)
            if match:
                yield (f"{name}:{number}: refers to '{match.group()}', which a reader does not have; cite the published "
                       "paper or a README of this repository")


def main():
    root = pathlib.Path(sys.argv[1])
    breaches = [*check_tested(root), *check_headers(root), *check_names(root), *check_levels(root), *check_aten(root), *check_references(root)]
    for breach in breaches:
        print(breach)
    print(f"check_sources: {len(breaches)} breaches" if breaches else "check_sources: all as it should be")
    sys.exit(1 if breaches else 0)


main()
