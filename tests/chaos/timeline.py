"""What the fleet's machines did, seen from GET /admin/v1/machines many times a second; drawn as SVG."""

import html
import json
import threading
import time

COLOURS = {'launching': '#fde2a7', 'restoring': '#fde2a7', 'booting': '#f9c74f', 'serving': '#43aa8b',
           'draining': '#577590', 'hibernating': '#9aa5b1', 'hibernated': '#e9ecef', 'terminating': '#c77d7d',
           'lost': '#f94144'}
UNBILLED = {'hibernated'}
LOOK_S = 0.05

_LANE, _LEFT, _WIDTH = 22, 150, 1200


class Timeline:
    def __init__(self, gateway, admin_headers):
        self.gateway, self.admin_headers = gateway, admin_headers
        self.began = time.monotonic()
        self.looks = []  # (time, {machine: (state, answers on it)})
        self.marks = []  # (time, machine or None, what was done)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def machines(self):
        status, _, body = self.gateway.request('GET', '/admin/v1/machines', headers=self.admin_headers)
        if status != 200:
            raise AssertionError(f'{status}: {body!r}')
        return {m['id']: (m['state'], m['active']) for m in json.loads(body)['machines']}

    def _run(self):
        while not self._stop.is_set():
            self.looks.append((time.monotonic() - self.began, self.machines()))
            self._stop.wait(LOOK_S)

    def mark(self, machine, what):
        self.marks.append((time.monotonic() - self.began, machine, what))

    def stop(self):
        self._stop.set()
        self._thread.join()

    def seen_seconds(self):
        """The seconds in which machines billed, and how far that may be off: each change of a state was seen late by one
        look at most."""
        seconds, slack = 0.0, 0.0
        for (start, before), (end, after) in zip(self.looks, self.looks[1:]):
            bills = [{machine for machine, (state, _) in look.items() if state not in UNBILLED} for look in (before, after)]
            seconds += (end - start) * len(bills[0])
            slack += (end - start) * len(bills[0] ^ bills[1])
        return seconds, slack

    def svg(self):
        lanes = {}
        for _, machines in self.looks:
            for machine in machines:
                lanes.setdefault(machine, len(lanes))
        length = self.looks[-1][0] or 1
        height = (len(lanes) + 2) * _LANE

        def x(at):
            return _LEFT + _WIDTH * at / length

        out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" height="{height + 40}" '
               'font-family="sans-serif" font-size="11">']
        for machine, lane in lanes.items():
            out.append(f'<text x="4" y="{(lane + 1) * _LANE + 14}">{html.escape(machine)}</text>')
        for (start, machines), (end, _) in zip(self.looks, self.looks[1:]):
            for machine, (state, answers) in machines.items():
                y = (lanes[machine] + 1) * _LANE
                out.append(f'<rect x="{x(start):.1f}" y="{y + 3}" width="{x(end) - x(start) + 0.3:.1f}" height="16" '
                           f'fill="{COLOURS[state]}"/>')
                if answers:  # a line as thick as the streams are many
                    thick = min(answers, 28) / 2
                    out.append(f'<rect x="{x(start):.1f}" y="{y + 11 - thick / 2:.1f}" '
                               f'width="{x(end) - x(start) + 0.3:.1f}" height="{thick:.1f}" fill="#1d3557"/>')
        for at, machine, what in self.marks:
            y = (lanes.get(machine, -1) + 1) * _LANE
            out.append(f'<line x1="{x(at):.1f}" y1="{y}" x2="{x(at):.1f}" y2="{y + _LANE}" stroke="#d00000"/>'
                       f'<text x="{x(at) + 3:.1f}" y="{y + 10}" fill="#d00000">{html.escape(what)}</text>')
        for second in range(0, int(length) + 1, max(1, int(length / 12))):
            out.append(f'<text x="{x(second):.1f}" y="{height + 20}">{second} s</text>')
        for i, (state, colour) in enumerate(COLOURS.items()):
            out.append(f'<rect x="{_LEFT + i * 110}" y="2" width="10" height="10" fill="{colour}"/>'
                       f'<text x="{_LEFT + i * 110 + 14}" y="11">{state}</text>')
        return '\n'.join(out + ['</svg>'])
