"""A second oracle for the GGUF side: llama.cpp on the tiny models, beside the goldens.

    compare_llama_cpp.py "llama-server -m {model} --port {port} -c 512 -fa off -ctk f32 -ctv f32" [MODEL...]

Run by hand with the packages of make_goldens.py. Prints the relative error of the log-probabilities after each
recorded position, each set less its mean, since log-probabilities are logits less a constant. With llama.cpp b11669
it is below 6e-6, but for gemma3 (4e-4: llama.cpp's GELU is a table of halves), for mistral and phi3 past position 39
(it knows no window there), and for phi3_longrope_short (the set of divisors follows from the context there too, which
has 256 tokens or more).
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import numpy as np
import tiny_models
from make_goldens import STRIDE

FORCED = 4  # a token of printable text, so that every answer carries its probabilities; they are those without the bias


def goldens(name):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".txt")) as f:
        rows = [line.split() for line in f]
    return {int(row[0]): np.array(row[1:], np.float64) for row in rows if row[0].isdigit()}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def request(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", data), timeout=60) as answer:
        return json.load(answer)


def wait(server, port):
    while server.poll() is None:
        try:
            return request(port, "/health")
        except urllib.error.URLError:  # not listening yet, or still loading
            time.sleep(0.2)
    sys.exit("llama-server ended")


def log_probabilities(port, prompt):
    answer = request(port, "/completion", {"prompt": prompt, "n_predict": 1, "n_probs": tiny_models.VOCABULARY,
                                           "cache_prompt": False, "logit_bias": [[FORCED, 1000.0]]})
    values = np.full(tiny_models.VOCABULARY, np.nan)
    for token in answer["completion_probabilities"][0]["top_logprobs"]:
        values[token["id"]] = token["logprob"]
    return values[::STRIDE]


def compare(command, name, folder):
    model, port = os.path.join(folder, name + ".gguf"), free_port()
    tiny_models.write_gguf(name, model)
    arguments = [part.format(model=model, port=port) for part in shlex.split(command)]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait(server, port)
        prompt = tiny_models.prompt(name)
        for position, expected in goldens(name).items():
            got = log_probabilities(port, prompt[:position + 1])
            assert not np.isnan(got).any()
            expected = expected - expected.mean()
            error = np.linalg.norm(got - got.mean() - expected) / np.linalg.norm(expected)
            print(f"{name} position {position}: {error:.1e}", flush=True)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as models:
        for model_name in sys.argv[2:] or tiny_models.MODELS:
            compare(sys.argv[1], model_name, models)
