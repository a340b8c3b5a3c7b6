"""An hour, or as long as is asked for, of mixed load with random cancels; exit status 1 if something grew, leaked or drifted.

    ./bazelw run //tests/benchmarks:soak -- --minutes 60 --streams 12 --seed 1

A row a minute. Speed is the engine's own processor seconds for a thousand tokens, computed or generated, so that other
processes on the machine count little. What holds at the end: no memory grew since the cache filled, no KV block is used, the
last third was as fast as the first, and a request that was asked for every minute had one answer.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time

RUNFILES = os.path.abspath(sys.argv[0]) + '.runfiles'
os.environ.setdefault('TEST_SRCDIR', RUNFILES if os.path.isdir(RUNFILES) else os.path.dirname(os.getcwd()))
os.environ.setdefault('TEST_TMPDIR', tempfile.mkdtemp(prefix='soak.'))

from tests.e2e.harness import MODEL, Gateway, chat, cpu_seconds, rss_bytes  # pylint: disable=wrong-import-position

SUBJECTS = ['a lighthouse', 'the sea', 'a bicycle', 'tax law', 'the number seven', 'bread', 'a compiler', 'rain', 'Mars', 'owls']
PREAMBLE = 'You are a patient teacher who answers in short sentences and never repeats a word of the question. ' * 6
SCHEMA = {'type': 'object', 'properties': {'name': {'type': 'string'}, 'size': {'type': 'integer'}},
          'required': ['name', 'size'], 'additionalProperties': False}
# Minutes differ by a third, by their mix of prompts and by who shares the caches; medians of twenty of them by far less.
SPEED_DRIFT = 1.15
# Of resident bytes, after the cache has filled: an allocator's arenas still settle.
GROWTH = 1.03


def random_body(random_source):
    """Short and long prompts, with and without a prefix that others share, plain and constrained answers."""
    subject = random_source.choice(SUBJECTS)
    words = ' '.join(random_source.choice(SUBJECTS) for _ in range(random_source.choice([0, 5, 40, 200])))
    body = chat(f'Tell me about {subject}. {words}', seed=random_source.randrange(1 << 31),
                max_tokens=random_source.choice([1, 8, 32, 128]), temperature=random_source.choice([0, 0.7, 1.2]))
    if random_source.random() < 0.4:
        body['messages'].insert(0, {'role': 'system', 'content': PREAMBLE})
    if random_source.random() < 0.2:
        body['n'] = random_source.choice([2, 3])
    if random_source.random() < 0.15:
        body.update(logprobs=True, top_logprobs=5)
    if random_source.random() < 0.15:
        body['stop'] = ['the', '\n']
    if random_source.random() < 0.1:
        body['response_format'] = {'type': 'json_schema', 'json_schema': {'name': 'thing', 'schema': SCHEMA}}
    return body


class Load:
    """Clients that ask again as soon as they have an answer, or have left."""

    def __init__(self, gateway, streams, seed):
        self.gateway = gateway
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.answered = self.cancelled = 0
        self.wrong = []
        self.threads = [threading.Thread(target=self.client, args=(random.Random(f'{seed}/{i}'),)) for i in range(streams)]
        for thread in self.threads:
            thread.start()

    def client(self, random_source):
        while not self.stop.is_set():
            body = random_body(random_source)
            try:
                left = self.stream(body, random_source) if random_source.random() < 0.75 else self.whole(body)
                with self.lock:
                    self.cancelled += left
                    self.answered += not left
            except Exception as error:  # pylint: disable=broad-except
                with self.lock:
                    self.wrong.append(f'{type(error).__name__}: {error} for {json.dumps(body)[:300]}')

    def whole(self, body):
        status, _, answer = self.gateway.post('/v1/chat/completions', body)
        if status != 200 or len(answer['choices']) != body.get('n', 1):
            raise AssertionError(f'{status}: {answer}')
        return False

    def stream(self, body, random_source):
        """True if the client left: before the first byte, or after some pieces."""
        pieces = random_source.choice([0, 1, 5, 20]) if random_source.random() < 0.4 else None
        with self.gateway.stream(body) as answer:
            if pieces == 0:
                return True
            if answer.read_head() != 200:
                raise AssertionError(f'{answer.status}: {answer.read_chunk()!r}')
            while answer.read_chunk():
                if pieces is not None:
                    pieces -= 1
                    if pieces == 0:
                        return True
            if answer.events()[-1] != '[DONE]':
                raise AssertionError(f'no clean end: {answer.body[-200:]!r}')
        return False

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class Watch:
    """A row a minute."""

    HEAD = ('minute', 'engine MB', 'gateway MB', 'KV used', 'cached', 'free', 'tokens', 'CPU s/1000', 'answered', 'left', 'wrong')

    def __init__(self, gateway, load):
        self.gateway, self.load = gateway, load
        self.engine = gateway.engine_pid()
        self.rows, self.answers = [], set()
        self.before = self.totals()
        print(' '.join(f'{name:>10}' for name in self.HEAD), flush=True)

    def totals(self):
        return (sum(self.gateway.metric('tokens_total', kind=kind) for kind in ('prompt', 'generated')),
                self.gateway.metric('tokens_total', kind='cached'), cpu_seconds(self.engine))

    def blocks(self):
        return [int(self.gateway.metric('kv_blocks', state=state)) for state in ('used', 'cached', 'free')]

    def look(self, minute):
        self.answers.add(self.gateway.ask('Name three colours.', max_tokens=24, seed=5, temperature=0.8))
        now = self.totals()
        # tokens_total counts whole prompts; those that the cache had were not computed.
        tokens = (now[0] - self.before[0]) - (now[1] - self.before[1])
        speed = (now[2] - self.before[2]) / max(tokens, 1) * 1000
        self.before = now
        if self.gateway.engine_pid() != self.engine:
            raise AssertionError('the engine is another one')
        row = (minute, rss_bytes(self.engine) / 1e6, rss_bytes(self.gateway.pid) / 1e6, *self.blocks(), int(tokens), speed,
               self.load.answered, self.load.cancelled, len(self.load.wrong))
        self.rows.append(row)
        print(' '.join(f'{x:10.2f}' if isinstance(x, float) else f'{x:10d}' for x in row), flush=True)


def verdicts(watch, load):
    """Every sentence that does not hold."""
    rows, bad = watch.rows, []
    blocks = sum(rows[0][3:6])
    filled = next((i for i, row in enumerate(rows) if row[5] * 100 < blocks), len(rows) // 2)
    settled = rows[max(filled, len(rows) // 6):]
    for name, column in (('engine', 1), ('gateway', 2)):
        first = statistics.median(row[column] for row in settled[:max(1, len(settled) // 4)])
        last = statistics.median(row[column] for row in settled[-max(1, len(settled) // 4):])
        print(f'the {name}: {first:.1f} MB once it had settled, {last:.1f} MB at the end')
        if last > first * GROWTH:
            bad.append(f'the {name} grew')
    third = max(1, len(rows) // 3)
    first, last = (statistics.median(row[7] for row in part) for part in (rows[:third], rows[-third:]))
    print(f'processor seconds for 1,000 tokens: {first:.2f} in the first third, {last:.2f} in the last')
    if last > first * SPEED_DRIFT:
        bad.append('it became slower')
    if len(watch.answers) != 1:
        bad.append(f'{len(watch.answers)} answers to one request')
    if load.wrong:
        bad.append(f'{len(load.wrong)} requests failed, such as {load.wrong[:3]}')
    watch.gateway.wait_for_metric('active_requests', 0)
    watch.gateway.wait_for_metric('kv_blocks', 0, state='used')
    used, cached, free = watch.blocks()
    print(f'KV blocks at rest: {used} used, {cached} cached, {free} free')
    if cached + free != blocks:
        bad.append('blocks are gone')
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--streams', type=int, default=12, help='clients at once')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--look_every_s', type=float, default=60, help='seconds a row')
    options = parser.parse_args()
    with Gateway(f'models: [{{name: {MODEL}, weights: bundled}}]\n') as gateway:
        gateway.ask()
        load = Load(gateway, options.streams, options.seed)
        watch = Watch(gateway, load)
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < options.minutes * 60:
                time.sleep(options.look_every_s)
                watch.look(round((time.monotonic() - begin) / 60))
        finally:
            load.end()
        bad = verdicts(watch, load)
    print('it held' if not bad else 'it did not hold: ' + '; '.join(bad))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
