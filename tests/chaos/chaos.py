"""bazel run //tests/chaos -- --streams N --seed S

A gateway, real engines, and streams that must not notice what happens to the engines: killed -9, interrupted with a
notice, stopped so that they hang, hibernated, told to end. Every answer is compared with that of the same request when
nothing happened. Prints a table, draws the timeline of the run, and exits 1 where a stream was lost or differs.
"""

import argparse
import collections
import os
import queue
import random
import signal
import sys
import tempfile
import threading
import time

from tests.chaos import workload
from tests.chaos.timeline import LOOK_S, Timeline
from tests.e2e.harness import MODEL, Gateway, in_parallel, outside_of_bazel_test, wait_for

ADMIN_KEY = 'an-admin-key-of-chaos'
ADMIN = {'authorization': f'Bearer {ADMIN_KEY}'}
CUTS_A_STREAM = 2
MORE_ROUNDS = 20
# What is done to an engine, and how often. A hang is seen after 5 s of silence, so it is the rarest.
SIGNALS = {'kill9': signal.SIGKILL, 'sigterm': signal.SIGTERM, 'hang': signal.SIGSTOP}
ACTS = {'kill': 4, 'kill9': 4, 'notice': 6, 'hibernate': 4, 'sigterm': 3, 'hang': 1}


def config(weights, backend):
    return f"""
admin_key_env: CHAOS_ADMIN_KEY
models:
  - name: {MODEL}
    weights: {weights}
    backend: {backend}
    idle_timeout: 10m
    machines: {{min: 2, max: 3}}
    park: {{requests: 4096}}
providers:
  - local: {{stock: 16}}
"""


class Run:
    def __init__(self, gateway, options):
        self.gateway = gateway
        self.options = options
        self.rng = random.Random(options.seed)
        self.cases = workload.distinct(options.seed, options.distinct, options.tokens)
        self.expected = None
        self.outcomes = []  # (case, Outcome)
        self.acts = collections.Counter()
        self.hung = set()  # pids: what else is done to one would hide that its hang is seen
        self.due = self.rng.sample(list(ACTS), len(ACTS))  # each at least once, then by chance
        self.timeline = None
        self.before_s = 0.0  # billed before the timeline began

    # --- The streams.

    def undisturbed(self):
        """Each case once, a few at a time."""
        outcomes = [None] * len(self.cases)
        self._work(list(enumerate(self.cases)), lambda i, outcome: outcomes.__setitem__(i, outcome), workers=8)
        for (path, body), outcome in zip(self.cases, outcomes):
            if outcome.error:
                raise AssertionError(f'undisturbed, {path} {body}: {outcome.error}')
        self.expected = [outcome.answer for outcome in outcomes]

    def disturbed(self):
        self.timeline = Timeline(self.gateway, ADMIN)
        self.before_s = self.gateway.metric('gpu_seconds_total')
        self.timeline.start()
        work = [(i % len(self.cases), self.cases[i % len(self.cases)]) for i in range(self.options.streams)]
        self.rng.shuffle(work)
        done = threading.Event()

        def streams():
            try:
                self._work(work, lambda i, outcome: self.outcomes.append((i, outcome)), self.options.workers)
                # Few streams may be done before enough was done to them.
                for _ in range(MORE_ROUNDS):
                    if self.gateway.metric('stream_resumes_total') >= CUTS_A_STREAM * len(self.outcomes):
                        break
                    more = work[:max(self.options.workers, len(work) // 10)]
                    self._work(more, lambda i, outcome: self.outcomes.append((i, outcome)), self.options.workers)
            finally:
                done.set()

        in_parallel([streams, lambda: self.disturb(done)])

    def _work(self, work, take, workers):
        todo = queue.SimpleQueue()
        for item in work:
            todo.put(item)

        def loop():
            while True:
                try:
                    i, (path, body) = todo.get_nowait()
                except queue.Empty:
                    return
                take(i, workload.ask(self.gateway, path, body))

        in_parallel([loop] * min(workers, len(work)))

    # --- What happens to the engines.

    def disturb(self, done):
        """Cuts as long as there are fewer than asked for, by what the gateway counts; ahead by the streams that begin
        meanwhile, since the last ones leave no time to catch up."""
        at_once = min(self.options.workers, self.options.streams)
        while not done.wait(LOOK_S):
            begun = len(self.outcomes) + at_once + at_once // 2
            # One at a time: a stream that is cut 32 times before it says a token is given up, as it should be.
            while not done.wait(LOOK_S) and self.gateway.metric('stream_resumes_total') < CUTS_A_STREAM * begun:
                volumes = self.gateway.engine_volumes()
                running = {volume: pid for pid, volume in volumes.items() if pid not in self.hung}
                seen = self.timeline.machines()
                machines = {machine: (state, active, running[volume])
                            for machine, (state, active, volume) in seen.items() if volume in running}
                busy = [m for m, (state, active, _) in machines.items() if state == 'serving' and active > 0]
                if not busy:
                    break
                self.act(machines, self.rng.choice(sorted(busy)))

    def act(self, machines, machine):
        what = self.due[0] if self.due else self.rng.choices(list(ACTS), list(ACTS.values()))[0]
        if what in SIGNALS:
            machine = self.rng.choice(sorted(machines))  # one that boots or drains too
            pid = machines[machine][2]
            try:
                os.kill(pid, SIGNALS[what])
            except ProcessLookupError:
                return
            if what == 'hang':
                self.hung.add(pid)
        else:
            order = {'notice': 'interrupt'}.get(what, what)
            body = {'notice_seconds': self.rng.choice([0.5, 2, 5, 20])} if what == 'notice' else None
            status, _, _ = self.gateway.request('POST', f'/admin/v1/machines/{machine}:{order}', body, ADMIN)
            if status != 202:
                return  # it is gone already
        self.acts[what] += 1
        self.due = self.due[1:]
        self.timeline.mark(machine, what)

    # --- What came of it.

    def report(self):
        """The table's lines and the number of faults."""
        gateway = self.gateway
        gateway.wait_for_metric('active_requests', 0)
        self.timeline.stop()
        lost = [(i, o) for i, o in self.outcomes if o.error]
        kept = [(i, o) for i, o in self.outcomes if not o.error]
        differ = [(i, o) for i, o in kept if o.answer['choices'] != self.expected[i]['choices']]
        miscounted = [(i, o) for i, o in kept if o.answer['usage'] != self.expected[i]['usage']]
        resumes = gateway.metric('stream_resumes_total')
        generated = gateway.metric('tokens_total', kind='generated')
        told = sum(answer['usage']['completion_tokens'] for answer in self.expected) + sum(
            o.answer['usage']['completion_tokens'] for _, o in kept)
        billed = gateway.metric('gpu_seconds_total')
        seen, slack, lives = self.timeline.process_seconds()
        gaps = sorted((gap for _, o in kept for gap in o.gaps()), reverse=True)[:int(resumes)]
        rows = [
            ('streams', f'{len(self.outcomes)} ({len(self.cases)} distinct), {self.options.workers} at a time'),
            ('what was done', ', '.join(f'{what} {count}' for what, count in sorted(self.acts.items()))),
            ('cuts', f'{resumes:.0f}, {resumes / max(1, len(self.outcomes)):.2f} a stream: ' + ', '.join(
                f'{reason} {count:.0f}' for reason in ('lost', 'notice', 'hang', 'killed', 'hibernated')
                if (count := gateway.metric('stream_resumes_total', reason=reason)))),
            ('not exact', f'{gateway.metric("stream_resumes_total", exact="false"):.0f}'),
            ('lost', str(len(lost))),
            ('text differs', str(len(differ))),
            ('usage differs', str(len(miscounted))),
            ('tokens counted', f'{generated:.0f}, answers say {told}'),
            ('longest gaps', f'as many as cuts: p50 {_quantile(gaps, 0.5):.2f} s, p99 {_quantile(gaps, 0.01):.2f} s'),
            ('billed', f'{billed - self.before_s:.1f} s; {lives} processes ran for {seen:.1f} s ± {slack:.1f} s'),
        ]
        faults = len(lost) + len(differ) + len(miscounted)
        faults += generated != told if not lost else 0
        faults += gateway.metric('stream_resumes_total', exact='false') > 0
        faults += resumes < CUTS_A_STREAM * len(self.outcomes)  # too little was shown
        faults += abs(billed - seen - self.before_s) > slack + 1
        for what, bad in ('lost', lost), ('differs', differ), ('usage', miscounted):
            for i, outcome in bad[:3]:
                print(f'{what}: {self.cases[i]}\n  {outcome.error or outcome.answer}\n  expected {self.expected[i]}',
                      file=sys.stderr)
        return rows, faults


def _quantile(descending, share_above):
    return descending[min(len(descending) - 1, int(len(descending) * share_above))] if descending else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--streams', type=int, default=300)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--workers', type=int, default=48, help='streams at a time')
    parser.add_argument('--distinct', type=int, default=40, help='requests among them; each has its undisturbed run')
    parser.add_argument('--tokens', type=int, default=24, help='of an answer, on average')
    parser.add_argument('--weights', default='bundled', help='as in the configuration, or a file of this test')
    parser.add_argument('--backend', default='auto', help='as in the configuration')
    parser.add_argument('--svg', help='where the timeline goes')
    options = parser.parse_args()
    outside_of_bazel_test()
    began = time.monotonic()
    if os.path.exists(options.weights):
        options.weights = 'file://' + os.path.abspath(options.weights)
    with Gateway(config(options.weights, options.backend), env={'CHAOS_ADMIN_KEY': ADMIN_KEY}) as gateway:
        run = Run(gateway, options)
        run.undisturbed()
        wait_for(lambda: gateway.metric('machines', state='serving') >= 2, 'two machines serve')
        run.disturbed()
        rows, faults = run.report()
        outputs = os.environ.get('TEST_UNDECLARED_OUTPUTS_DIR', tempfile.gettempdir())
        path = options.svg or os.path.join(outputs, 'chaos.svg')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(run.timeline.svg())
        if gateway.terminate() != 0 or gateway.engine_pids():
            rows.append(('engines left', str(gateway.engine_pids())))
            faults += 1
    rows.append(('took', f'{time.monotonic() - began:.0f} s, seed {options.seed}; timeline in {path}'))
    for name, value in rows:
        print(f'{name:15} {value}', flush=True)
    sys.exit(1 if faults else 0)


if __name__ == '__main__':
    main()
