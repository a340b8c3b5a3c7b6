"""What the fleet's machines did, seen many times a second: GET /admin/v1/machines, and the engines' processes as the
kernel has them, which no word of the fleet can change. Drawn as SVG."""

import html
import json
import threading
import time

COLOURS = {'launching': '#fde2a7', 'restoring': '#fde2a7', 'booting': '#f9c74f', 'serving': '#43aa8b',
           'draining': '#577590', 'hibernating': '#9aa5b1', 'hibernated': '#e9ecef', 'terminating': '#c77d7d',
           'lost': '#f94144'}
LOOK_S = 0.05

_LANE, _LEFT, _WIDTH = 22, 190, 1200


class Timeline:
    def __init__(self, gateway, admin_headers):
        self.gateway, self.admin_headers = gateway, admin_headers
        self.began = time.monotonic()
        self.looks = []  # (time, {machine: (state, answers on it, volume)})
        self.processes = []  # (time, pids)
        self.marks = []  # (time, machine, what was done)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self._thread.start()

    def machines(self):
        status, _, body = self.gateway.request('GET', '/admin/v1/machines', headers=self.admin_headers)
        if status != 200:
            raise AssertionError(f'{status}: {body!r}')
        return {m['id']: (m['state'], m['active'], m['volume']) for m in json.loads(body)['machines']}

    def look(self):
        self.looks.append((time.monotonic() - self.began, self.machines()))
        self.processes.append((time.monotonic() - self.began, set(self.gateway.engine_pids())))

    def _run(self):
        while not self._stop.is_set():
            self.look()
            self._stop.wait(LOOK_S)

    def mark(self, machine, what):
        self.marks.append((time.monotonic() - self.began, machine, what))

    def stop(self):
        self._stop.set()
        self._thread.join()
        self.look()

    def process_seconds(self):
        """The seconds of all engines' processes together, how far that may be off, since each beginning and end was
        seen late by one look at most, and how many there were."""
        seconds, slack = 0.0, 0.0
        for (start, before), (end, after) in zip(self.processes, self.processes[1:]):
            seconds += (end - start) * len(before)
            slack += (end - start) * len(before ^ after)
        return seconds, slack, len(set().union(*(pids for _, pids in self.processes)))

    def svg(self):
        lanes = {}
        for _, machines in self.looks:
            for machine in machines:
                lanes.setdefault(machine, len(lanes))
        for _, machine, _ in self.marks:  # one may live between two looks
            lanes.setdefault(machine, len(lanes))
        length = self.looks[-1][0] or 1
        height = (len(lanes) + 2) * _LANE

        def x(at):
            return _LEFT + _WIDTH * at / length

        out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" height="{height + 40}" '
               'font-family="sans-serif" font-size="11">']
        for machine, lane in lanes.items():
            out.append(f'<text x="4" y="{(lane + 1) * _LANE + 14}">{html.escape(machine)}</text>')
        for machine, lane in lanes.items():
            y = (lane + 1) * _LANE
            for start, end, (state, answers) in self._spans(machine):
                width = f'{x(end) - x(start):.1f}'
                out.append(f'<rect x="{x(start):.1f}" y="{y + 3}" width="{width}" height="16" fill="{COLOURS[state]}">'
                           f'<title>{html.escape(machine)} {state}, {answers} answers</title></rect>')
                if answers:  # a line as thick as the streams are many
                    thick = min(answers, 28) / 2
                    out.append(f'<rect x="{x(start):.1f}" y="{y + 11 - thick / 2:.1f}" width="{width}" '
                               f'height="{thick:.1f}" fill="#1d3557"/>')
        for at, machine, what in self.marks:
            y = (lanes[machine] + 1) * _LANE
            out.append(f'<line x1="{x(at):.1f}" y1="{y}" x2="{x(at):.1f}" y2="{y + _LANE}" stroke="#d00000"/>'
                       f'<text x="{x(at) + 3:.1f}" y="{y + 10}" fill="#d00000">{html.escape(what)}</text>')
        for second in range(0, int(length) + 1, max(1, int(length / 12))):
            out.append(f'<text x="{x(second):.1f}" y="{height + 20}">{second} s</text>')
        for i, (state, colour) in enumerate(COLOURS.items()):
            out.append(f'<rect x="{_LEFT + i * 110}" y="2" width="10" height="10" fill="{colour}"/>'
                       f'<text x="{_LEFT + i * 110 + 14}" y="11">{state}</text>')
        return '\n'.join(out + ['</svg>'])

    def _spans(self, machine):
        """(from, to, (state, answers)), as long as that is the same."""
        spans = []
        for (start, machines), (end, _) in zip(self.looks, self.looks[1:]):
            if machine not in machines:
                continue
            what = machines[machine][:2]
            if spans and spans[-1][1] == start and spans[-1][2] == what:
                spans[-1] = (spans[-1][0], end, what)
            else:
                spans.append((start, end, what))
        return spans
