"""The vulkan backend on the pinned lavapipe against the reference, which rounds no activation either, on real text."""

import json
import pathlib
import subprocess
import sys

import numpy

TEXT = pathlib.Path(numpy.__file__).parent / "ma" / "README.rst"  # 9,874 bytes of prose in a pinned package
CONTEXT = 256


def main():
    program, model = sys.argv[1:]
    done = subprocess.run([program, "--model", model, "--text", TEXT, "--backend", "vulkan", "--against", "reference",
                           "--context", str(CONTEXT), "--chunks", "1"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    print(result)
    assert result["backend"] == "vulkan" and result["against"] == "reference"
    assert result["tokens"] == CONTEXT // 2 - 1
    assert result["kl_divergence"] <= 1e-4
    assert result["same_top"] >= 0.99


main()
