"""bazel run //tests/benchmarks:resume_gap [-- --rounds 20]

How long a client waits for its next token when the machine under its answer goes while another one serves: the longest
gap in a stream, beside a usual step and the first token of a new prompt of the same length, all of which is prefill.
Then, from a notice to an engine with --streams answers on it, how long until the last of them is off it. Exits 1 where a
median is past its bar: 100 ms beside the prefill, 200 ms.
"""
import argparse
import json
import random
import re
import statistics
import sys
import threading
import time

from tests.e2e.harness import LONGEST, MODEL, Gateway, chat, outside_of_bazel_test, wait_for

ADMIN_KEY = 'an-admin-key-of-a-benchmark'
ADMIN = {'authorization': f'Bearer {ADMIN_KEY}'}
CONFIG = f"""
admin_key_env: GAP_ADMIN_KEY
models: [{{name: {MODEL}, weights: bundled, machines: {{min: %d, max: %d}}}}]
"""
GAP_BAR_S, HANDOVER_BAR_S = 0.1, 0.2
BEFORE = 20  # tokens that have come when the machine goes


def arrivals(gateway, words, tokens, act=None):
    """When the request went out, and when each token came. The prompt is one that no cache knows."""
    rng = random.SystemRandom()
    prompt = ' '.join(rng.choice(('sea', 'red', 'old', 'tea', 'sun', 'ice', 'map', 'oak')) for _ in range(words))
    times = [time.monotonic()]
    with gateway.stream(chat(prompt, max_tokens=tokens, logit_bias=LONGEST)) as stream:
        while piece := stream.read_chunk():
            times += [time.monotonic()] * (b'"content":"' in piece and b'"role"' not in piece)
            if act and len(times) == 1 + BEFORE:
                act()
                act = None
    return times


def machines(gateway):
    return json.loads(gateway.request('GET', '/admin/v1/machines', headers=ADMIN)[2])['machines']


def order(gateway, what, body):
    machine = next(m['id'] for m in machines(gateway) if m['active'] > 0)
    status, _, answer = gateway.request('POST', f'/admin/v1/machines/{machine}:{what}', body, ADMIN)
    if status != 202:
        raise AssertionError(answer)


def measure(gateway, options, what, body):
    """The median of the gaps less the one of the prefills."""
    gaps, steps, prefills = [], [], []
    for _ in range(options.rounds):
        wait_for(lambda: [m['state'] for m in machines(gateway)] == ['serving'] * 2, 'two machines serve, and no other')
        began, first, *_ = arrivals(gateway, options.words + BEFORE, 2)
        prefills.append(first - began)
        times = arrivals(gateway, options.words, 60, lambda: order(gateway, what, body))[1:]
        between = [b - a for a, b in zip(times, times[1:])]
        steps.append(statistics.median(between[:BEFORE - 1]))
        gaps.append(max(between[BEFORE - 1:]))
    print(f'{what:10} gap {_ms(gaps)}   a step {_ms(steps)}   first token of a new prompt {_ms(prefills)}   '
          f'gap less that: {1e3 * (statistics.median(gaps) - statistics.median(prefills)):.0f}', flush=True)
    return statistics.median(gaps) - statistics.median(prefills)


def handovers(gateway, options):
    """Each round's, in seconds, as the gateway's log has them."""
    taken = []
    for _ in range(options.rounds):
        wait_for(lambda: [m['state'] for m in machines(gateway)] == ['serving'], 'a machine serves, and no other')
        talking = threading.Semaphore(0)
        threads = [threading.Thread(target=arrivals, args=(gateway, 20, BEFORE + 20, talking.release))
                   for _ in range(options.streams)]
        for thread in threads:
            thread.start()
        for _ in threads:
            talking.acquire()
        order(gateway, 'interrupt', {'notice_seconds': 5})
        wait_for(lambda: len(told(gateway)) > len(taken), 'no answer is on it')
        taken = told(gateway)
        for thread in threads:
            thread.join()
    return taken


def told(gateway):
    found = re.findall(r'no answer is on it any more, ([0-9.]+)(m?s) after the first word', gateway.log())
    return [float(number) * (1e-3 if unit == 'ms' else 1) for number, unit in found]


def _ms(seconds):
    return f'{1e3 * statistics.median(seconds):.0f} ({1e3 * min(seconds):.0f}–{1e3 * max(seconds):.0f})'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--words', type=int, default=100, help='of a prompt')
    parser.add_argument('--streams', type=int, default=32, help='on the machine that is handed over')
    options = parser.parse_args()
    outside_of_bazel_test()
    print(f'{options.rounds} answers each, prompts of {options.words} words; ms, medians and lowest–highest')
    env = {'GAP_ADMIN_KEY': ADMIN_KEY}
    with Gateway(CONFIG % (2, 2), env=env) as gateway:
        gap = max(measure(gateway, options, 'kill', None), measure(gateway, options, 'interrupt', {'notice_seconds': 2}))
    with Gateway(CONFIG % (1, 1), env=env) as gateway:
        taken = handovers(gateway, options)
        print(f'from a notice to the last of {options.streams} answers off the machine: {_ms(taken)}')
    sys.exit(gap > GAP_BAR_S or statistics.median(taken) > HANDOVER_BAR_S)


if __name__ == '__main__':
    main()
