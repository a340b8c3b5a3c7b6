"""engine:perplexity gives llama.cpp's figure, within 0.5 %, and says what is wrong with its arguments."""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy

# Prose in a pinned package: the guide to masked arrays, 9,874 bytes.
TEXT = pathlib.Path(numpy.__file__).parent / "ma" / "README.rst"

# llama-perplexity -m SmolLM2-135M-Instruct.Q4_1.gguf -f README.rst -t 2 -c 512
# of llama.cpp 0.7.0 (build 11669, Debian sid), CPU with AVX2: "[1]22.1552,[2]17.9567,[3]17.4002,[4]13.9071,[5]11.1521,
# Final estimate: PPL = 11.1521 +/- 0.86353"
LLAMA_CPP = {"chunks": 5, "tokens": 5 * 255, "perplexity": 11.1521, "standard_error": 0.86353}


def run(*arguments):
    return subprocess.run([sys.argv[1], *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_figure(model):
    done = run("--model", model, "--text", TEXT, "--backend", "cpu")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    print(result)
    assert result["backend"] == "cpu" and result["context"] == 512
    assert result["chunks"] == LLAMA_CPP["chunks"] and result["tokens"] == LLAMA_CPP["tokens"]
    for key in ("perplexity", "standard_error"):
        assert abs(result[key] / LLAMA_CPP[key] - 1) <= 0.005, f"{key}: {result[key]}, llama.cpp {LLAMA_CPP[key]}"
    assert done.stderr.count("perplexity") == LLAMA_CPP["chunks"], f"a line of progress a chunk: {done.stderr}"


def check_divergence(model):
    both = ("--backend", "cpu", "--against", "cpu")
    done = run("--model", model, "--text", TEXT, *both, "--chunks", "1", "--context", "32")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tokens"] == 15 and result["against"] == "cpu"
    assert result["kl_divergence"] == 0 and result["same_top"] == 1, "a backend is equal to itself"
    assert result["against_perplexity"] == result["perplexity"]


def check_errors(model, folder):
    few = folder / "few.txt"
    few.write_text("three short words")
    for arguments, status, message in (
        (["--model", model], 2, "--model FILE and --text FILE are needed"),
        (["--model", model, "--text", folder / "none"], 1, "cannot be read"),
        (["--model", model, "--text", few], 1, "--text has 3 tokens, which do not fill one chunk of --context 512"),
        (["--model", model, "--text", TEXT, "--context", "1"], 1, "--context 1"),
        (["--model", model, "--text", TEXT, "--context", "16384"], 1, "2 to 8192 tokens"),
        (["--model", model, "--text", TEXT, "--chunks", "-1"], 1, "--chunks -1"),
        (["--model", model, "--text", TEXT, "--backend", "abacus"], 1, "backend 'abacus' is not in this build"),
        (["--model", few, "--text", TEXT], 1, "GGUF"),
    ):
        done = run(*arguments)
        assert done.returncode == status and message in done.stderr, f"{arguments}: {done.returncode} {done.stderr}"
        assert not done.stdout, done.stdout


def main():
    model = sys.argv[2]
    check_figure(model)
    check_divergence(model)
    with tempfile.TemporaryDirectory() as folder:
        check_errors(model, pathlib.Path(folder))


main()
