"""Writes a tiny model as OUT_DIR/<model>.gguf and as the folder OUT_DIR/<model>/: write_models.py GOLDEN OUT_DIR
With a number of files, as OUT_DIR/<model>-00001-of-0000N.gguf and so on instead: write_models.py GOLDEN OUT_DIR N

Fails when the weights are not those that the golden was made with.
"""

import os
import re
import sys

import tiny_models


def main(golden, out, files=1):
    name = os.path.splitext(os.path.basename(golden))[0]
    with open(golden) as f:
        expected = re.search(r"^weights (\w+)$", f.read(), re.MULTILINE)[1]
    if tiny_models.weights_hash(tiny_models.weights(name)) != expected:
        sys.exit(f"{golden}: made with other weights than the rule gives now; run make_goldens.py again")
    tiny_models.write_gguf(name, os.path.join(out, name + ".gguf"), int(files))
    if int(files) > 1:
        return
    tiny_models.write_folder(name, os.path.join(out, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
