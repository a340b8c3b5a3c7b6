"""The emulator of the clouds, as a process of its own."""

import os
import select
import subprocess
import tempfile
import time

DEADLINE_S = 60


class Emulator:
    def __init__(self, program):
        self.directory = tempfile.mkdtemp(dir=os.environ['TEST_TMPDIR'])
        self.process = subprocess.Popen([program, f'--dir={self.directory}'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def say(self, command):
        self.process.stdin.write(command + '\n')
        self.process.stdin.flush()
        assert self.process.stdout.readline() == 'ok\n', command

    def metadata(self, machine):
        """The address of the metadata service of a machine, by its number."""
        with open(os.path.join(self.directory, 'machines', str(machine), 'metadata'), encoding='utf-8') as file:
            return file.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        select.select([], [], [], 0.02)
