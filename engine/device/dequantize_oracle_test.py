"""Every element type's decoding against the gguf package's, bit for bit, on random blocks."""

import subprocess
import sys
import unittest

import gguf
import numpy as np

PROGRAM = sys.argv.pop(1)
BLOCKS = 2000


class Dequantize(unittest.TestCase):
    def test_all_types(self):
        random = np.random.default_rng(3)
        names = []
        for line in subprocess.run([PROGRAM], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
            name, number, elements, size = line.split()
            names.append(name)
            kind = gguf.GGMLQuantizationType[name]
            self.assertEqual((int(number), (int(elements), int(size))), (kind.value, gguf.GGML_QUANT_SIZES[kind]), name)
            blocks = random.integers(0, 256, (BLOCKS, int(size)), dtype=np.uint8)
            out = subprocess.run([PROGRAM, name], input=blocks.tobytes(), check=True, stdout=subprocess.PIPE).stdout
            ours = np.frombuffer(out, np.float32)
            with np.errstate(all='ignore'):
                theirs = gguf.quants.dequantize(blocks, kind).astype(np.float32).reshape(-1)
            self.assertEqual(ours.shape, theirs.shape, name)
            finite = np.isfinite(theirs)
            self.assertGreater(finite.mean(), 0.9, name)
            with self.subTest(name):
                # Random halves are infinite or no numbers at times; what comes of these has no bits to agree on.
                np.testing.assert_array_equal(ours[finite].view(np.uint32), theirs[finite].view(np.uint32))
                self.assertFalse(np.isfinite(ours[~finite]).any())
        self.assertEqual(len(names), 15)


if __name__ == '__main__':
    unittest.main()
