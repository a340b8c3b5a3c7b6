"""Prints this project beside llama.cpp, taking turns on one machine: medians over rounds, and the ratio.

  ./bazelw run //tests/benchmarks:compare -- --rounds 5

llama.cpp's llama-bench, llama-batched-bench and llama-server are looked for on the PATH; --llama_bench, --llama_streams and
--llama_server give other commands, in which {model}, {port} and {threads} are filled in. --only steps leaves the servers out,
which need a model with a chat template.
"""
import argparse
import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PROMPT = "Why is the sky blue?"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--gateway", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--model", required=True, help="GGUF file; by default the bundled one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", choices=("steps", "servers"), help="of the two halves of the table")
    parser.add_argument("--llama_streams",
                        default="llama-batched-bench -m {model} -c 4096 -npp 128 -ntg 64 -npl 16 -t {threads}")
    parser.add_argument("--llama_bench", default="llama-bench -m {model}")
    parser.add_argument("--llama_server", default="llama-server -m {model} --host 127.0.0.1 --port {port} -t {threads}")
    return parser.parse_args()


def run(command, **fill):
    words = [word.format(**fill) for word in shlex.split(command)]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


DECODES = ("decode 128, tok/s", 0), ("decode 128 after 512, tok/s", 512)


STREAMS = "decode 64 after 128, 16 streams, tok/s"


def ours(arguments):
    def bench(prompt, generate, streams=1):
        out = run("{bench} --model {model} --threads {threads} --prompt_tokens {prompt} --generate_tokens {generate} "
                  "--streams {streams} --repeat 1 --memory_gb_per_s 1", bench=arguments.bench, model=arguments.model,
                  threads=arguments.threads, prompt=prompt, generate=generate, streams=streams)
        return json.loads(out.splitlines()[-1])

    rows = {name: bench(max(depth, 1), 128)["decode_tokens_per_s"] for name, depth in DECODES}
    return {"prefill 512, tok/s": bench(512, 1)["prefill_tokens_per_s"], **rows,
            STREAMS: bench(128, 64, 16)["decode_tokens_per_s"]}


def llama_cpp(arguments):
    out = run(arguments.llama_bench + " -p 512 -n 128 -d 0,512 -r 1 -o json -t {threads}", model=arguments.model,
              threads=arguments.threads)
    rows = {(r["n_prompt"], r["n_gen"], r["n_depth"]): r["avg_ts"] for r in json.loads(out[out.index("["):])}
    out = run(arguments.llama_streams, model=arguments.model, threads=arguments.threads)
    # | prompt | generated | streams | KV | s | tok/s of prompts | s | tok/s of decoding | s | tok/s |
    table = [[cell.strip() for cell in line.strip("| ").split("|")] for line in out.splitlines() if line.startswith("|")]
    streams = next(float(cells[7]) for cells in table if cells[:3] == ["128", "64", "16"])
    return {"prefill 512, tok/s": rows[512, 0, 0], **{name: rows[0, 128, depth] for name, depth in DECODES},
            STREAMS: streams}


def first_token(port, key, deadline=60):
    """Asks until a server answers; returns when the first token's text has come."""
    body = json.dumps({"model": "smollm2-135m-instruct", "stream": True, "max_tokens": 8, "temperature": 0,
                       "messages": [{"role": "user", "content": PROMPT}]})
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=deadline)
            connection.request("POST", "/v1/chat/completions", body,
                               {"content-type": "application/json", "authorization": f"Bearer {key}"})
            response = connection.getresponse()
            if response.status == 200:
                for line in response:
                    if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
                        connection.close()
                        return
            connection.close()
        time.sleep(0.002)
    raise TimeoutError("no first token")


def resident_mb(match):
    """Of the process whose command line has `match`: everything, and what is not a file's."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if match in open(f"/proc/{pid}/cmdline").read().replace("\0", " "):
                status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
                return int(status["VmRSS"].split()[0]) / 1000
    return float("nan")


def wake_gateway(arguments, folder, key):
    """(key, seconds from the request to its first token with no engine alive, engine's MB, seconds to the URL). A gateway
    says its key in its first life only."""
    start = time.monotonic()
    # The working directory of `bazel run` is a folder of the runfiles; the gateway's own need not have been built.
    gateway = subprocess.Popen([arguments.gateway, "--listen=127.0.0.1:0", f"--data_dir={folder}"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env={**os.environ, "RUNFILES_DIR": os.path.dirname(os.getcwd())})
    url = None
    while url is None or key is None:
        line = gateway.stdout.readline().split()
        if not line and gateway.poll() is not None:
            sys.exit(f"the gateway ended with {gateway.returncode}: `./bazelw run gateway` says why")
        if line[:1] == ["URL"]:
            url = line[1]
            started = time.monotonic() - start
        if line[:1] == ["key"]:
            key = line[1]
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    start = time.monotonic()
    first_token(port, key)
    took = time.monotonic() - start
    memory = resident_mb(f"--volume={folder}")
    gateway.send_signal(signal.SIGTERM)
    gateway.wait()
    return key, took, memory, started


def wake_ours(arguments):
    """On a new volume, where weights are packed, and again on the same one."""
    with tempfile.TemporaryDirectory() as folder:
        key, new, memory, started = wake_gateway(arguments, folder, None)
        _, packed, _, _ = wake_gateway(arguments, folder, key)
    return {"first token from zero, s": new, "first token from zero, weights packed on the volume, s": packed,
            "engine resident, MB": memory, "gateway start, s": started}


def wake_llama_cpp(arguments):
    """llama-server from its start to the same token."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    words = [w.format(model=arguments.model, port=port, threads=arguments.threads)
             for w in shlex.split(arguments.llama_server + " --no-warmup")]
    start = time.monotonic()
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    first_token(port, "none")
    took = time.monotonic() - start
    memory = resident_mb(f"--port {port}")
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    return {"first token from zero, s": took, "first token from zero, weights packed on the volume, s": took,
            "engine resident, MB": memory}


def main():
    arguments = parse_arguments()
    arguments.model = os.path.realpath(arguments.model)
    rows = {}
    for number in range(arguments.rounds):
        for name, measures in ("ours", (ours, wake_ours)), ("llama.cpp", (llama_cpp, wake_llama_cpp)):
            for half, measure in zip(("steps", "servers"), measures):
                if arguments.only not in (None, half):
                    continue
                for figure, value in measure(arguments).items():
                    rows.setdefault(figure, {}).setdefault(name, []).append(value)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    print(f"{cpu}, {arguments.threads} threads, medians of {arguments.rounds} rounds (lowest–highest)\n")
    print("| | ours | llama.cpp | ratio |\n|---|---|---|---|")
    for figure, values in rows.items():
        cells, medians = [], []
        for name in "ours", "llama.cpp":
            v = values.get(name)
            medians.append(statistics.median(v) if v else None)
            cells.append(f"{medians[-1]:.3g} ({min(v):.3g}–{max(v):.3g})" if v else "")
        ratio = f"{medians[0] / medians[1]:.2f}" if None not in medians else ""
        print(f"| {figure} | {cells[0]} | {cells[1]} | {ratio} |")


if __name__ == "__main__":
    main()
