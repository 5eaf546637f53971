#!/usr/bin/env python3
"""check_sources.py finds what it is there to find."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check_sources.py")


class CheckSources(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.write("tests/structure/model_names_allowed.txt", "")
        self.write("README.md", "")
        self.write("CMakeLists.txt", "")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def lines(self):
        result = subprocess.run([sys.executable, str(CHECK), str(self.root)], capture_output=True, text=True)
        *breaches, last = result.stdout.splitlines()
        self.assertEqual(result.returncode, 1 if breaches else 0, last + result.stderr)
        return breaches

    def test_a_source_has_a_test_or_says_which(self):
        self.write("lib/grid/q4.cpp", "int a;\n")
        self.assertEqual(len(self.lines()), 1)
        self.write("tests/grid/deep/q4_test.cpp", "")
        self.assertEqual(self.lines(), [])
        self.write("lib/grid/q5.cpp", "// Tested by: tests/grid/deep/q4_test.cpp\n")
        self.assertEqual(self.lines(), [])
        self.write("lib/grid/q5.cpp", "// Tested by: tests/grid/absent_test.cpp\n")
        self.assertIn("does not exist", self.lines()[0])
        self.write("lib/grid/q5.cpp", "\n" * 40 + "// Tested by: tests/grid/deep/q4_test.cpp\n")
        self.assertIn("neither", self.lines()[0])

    def test_a_header_is_in_a_test(self):
        self.write("lib/grid/q4.h", "int a;\n")
        self.assertIn("lib/grid/q4.h: no test includes it", self.lines()[0])
        self.write("tests/grid/q4_test.cpp", '#include "grid/q5.h"\n')
        self.assertEqual(len(self.lines()), 1)
        self.write("lib/grid/q5.h", '#include "grid/q4.h"\n')  # what it hands on is tested with it
        self.assertEqual(self.lines(), [])
        self.write("lib/grid/q5.h", "int b;\n")
        self.assertIn("lib/grid/q4.h: no test includes it", self.lines()[0])

    def test_names_are_spelled_in_one_room(self):
        self.write("tests/model/decoder_test.cpp", '#include "architecture/llama.h"\n#include "model/decoder.h"\n')
        self.write("lib/architecture/llama.h", 'constexpr char kQuery[] = "self_attn.q_proj";\n')
        self.write("tools/frugal/cli.h", "// as in model.layers.0.mlp.down_proj\n")
        self.assertEqual(self.lines(), [])
        for name in ("model.layers.3.x", "lm_head.weight", "LlamaForCausalLM", "blk.0.attn_q.weight", "v_proj", "model.norm.weight"):
            self.write("lib/model/decoder.h", f'int a;\nconst char* name = "{name}";\n')
            self.assertIn("lib/model/decoder.h:2: spells", self.lines()[0], name)
        self.write("tests/structure/model_names_allowed.txt", "# until later\nlib/model/decoder.h\n")
        self.assertEqual(self.lines(), [])
        self.write("lib/model/decoder.h", "int model_normalizer;\n")
        self.assertIn("take it out of", self.lines()[0])
        (self.root / "lib/model/decoder.h").unlink()
        self.assertIn("does not exist", self.lines()[0])

    def test_loops_are_chosen_by_the_level(self):
        self.write("tests/model/rows_test.cpp", '#include "model/rows.h"\n')
        self.write("lib/model/rows.h", '#define WIDEST __attribute__((target("avx2")))\n')
        self.assertEqual(self.lines(), [])
        self.write("lib/model/rows.h", '#define WIDEST __attribute__((target_clones("avx2", "default")))\n')
        self.assertIn("lib/model/rows.h:1: 'target_clones'", self.lines()[0])

    def test_all_of_aten_is_included_nowhere(self):
        self.write("tests/model/rows_test.cpp", '#include "tensor/aten.h"\n')
        self.assertEqual(self.lines(), [])
        self.write("tests/model/rows_test.cpp", "#include <ATen/ATen.h>\n")
        self.assertIn("tests/model/rows_test.cpp: includes <ATen/ATen.h>", self.lines()[0])

    def test_references_can_be_followed(self):
        self.write("scripts/run", "# see layerwise/README.md and arXiv 2210.17323\n")
        self.assertEqual(self.lines(), [])
        self.write("scripts/run", "# the recipe of " + "rounding" + ".md\n")
        self.assertIn("scripts/run:1: refers to", self.lines()[0])


unittest.main()
