"""The gateway as a user runs it: the real program, the real model, real engine processes.

    with Gateway() as gateway:
        status, headers, body = gateway.request('GET', '/v1/models')

Nothing here sleeps for a fixed time: what is waited for is an event (a line, an exit, bytes) or a condition that is
looked at until it holds. Deadlines are those of a machine in trouble; no test passes or fails by speed.
"""

import glob
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

MODEL = 'smollm2-135m-instruct'
DEADLINE_S = 120
# A logit_bias with which <|endoftext|> and <|im_end|> never come: an answer is as long as max_tokens or the context.
LONGEST = {'0': -100, '2': -100}
# Large events fill the buffers on the way to a client soon.
TALKATIVE = {'logprobs': True, 'top_logprobs': 20, 'logit_bias': LONGEST}

# `backend: auto` would take the card of the machine that tests run on; tests of Vulkan name their own driver.
NO_GRAPHICS_CARD = {'VK_DRIVER_FILES': '/nowhere'}

# The bundled model on the backend that a test of several was told.
CONFIG_OF_BACKEND = 'models: [{{name: {}, weights: bundled, backend: {}}}]\n'

_LOOK_AGAIN_S = 0.02


def runfile(path):
    return os.path.join(os.environ['TEST_SRCDIR'], 'spotinference', path)


def outside_of_bazel_test():
    """Before any Gateway of a program: `bazel run` gives it neither of these."""
    os.environ.setdefault('TEST_TMPDIR', tempfile.mkdtemp(prefix='spotinference.'))
    runfiles = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    os.environ.setdefault('TEST_SRCDIR', runfiles)


def driver_env():
    """What a test of Vulkan was told of its driver, by paths that hold in an engine's own folder too."""
    return {name: os.path.abspath(value) for name, value in os.environ.items() if value.startswith('external/')}


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """Returns the first truthy value of condition()."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'not within {deadline_s} s: {what}')
        select.select([], [], [], _LOOK_AGAIN_S)


def wait_for_exit(pid, what, deadline_s=DEADLINE_S):
    """Any process, not only a child."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([fd], [], [], deadline_s)[0]:
            raise AssertionError(f'process {pid} still runs after {deadline_s} s: {what}')
    finally:
        os.close(fd)


def rss_bytes(pid):
    with open(f'/proc/{pid}/statm', encoding='ascii') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def cpu_seconds(pid):
    """Of all its threads so far; unlike a clock, it does not run while the machine is busy with others."""
    with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def wait_until_idle(pid, deadline_s=DEADLINE_S):
    """Until none of its threads runs or wants to, many looks in a row."""
    quiet = 0

    def asleep():
        nonlocal quiet
        for path in glob.glob(f'/proc/{pid}/task/*/stat'):
            try:
                with open(path, encoding='utf-8') as file:
                    if file.read().rsplit(')', 1)[1].split()[0] == 'R':
                        quiet = 0
                        return False
            except OSError:
                pass  # a thread that has just ended
        quiet += 1
        return quiet >= 20

    wait_for(asleep, f'process {pid} has nothing to do', deadline_s)


def chat(content='Why is the sky blue?', **fields):
    return {'model': MODEL, 'messages': [{'role': 'user', 'content': content}], **fields}


class Gateway:
    """One gateway process and a data_dir of its own. Not thread-safe, but for the requests."""

    def __init__(self, config='', engine=None, env=None, data_dir=None):
        """`config`: YAML, without listen and data_dir. `engine`: in place of the build's. `data_dir`: of a former life."""
        self.data_dir = data_dir or tempfile.mkdtemp(prefix='gateway.', dir=os.environ['TEST_TMPDIR'])
        backend = os.environ.get('E2E_BACKEND')
        self.config = config or (CONFIG_OF_BACKEND.format(MODEL, backend) if backend else '')
        self.engine = engine
        self.env = env or {}
        self.flags = []  # of the next start, beside those that every one has
        self.process = None
        self.key = None
        self.log_path = os.path.join(self.data_dir, 'gateway.log')

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def command(self):
        command = [runfile('gateway/main'), '--listen=127.0.0.1:0', f'--data_dir={self.data_dir}']
        if self.config:
            path = os.path.join(self.data_dir, 'config.yaml')
            with open(path, 'w', encoding='utf-8') as file:
                file.write(self.config)
            command.append(f'--config={path}')
        if self.engine:
            command.append(f'--engine={self.engine}')
        return command + self.flags

    def start(self):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            env={**NO_GRAPHICS_CARD, **os.environ, **driver_env(), **self.env})
        welcome = self._read_welcome()
        match = re.search(r'URL +(https?)://127\.0\.0\.1:(\d+)/v1\n', welcome)
        if not match:
            raise AssertionError(f'no URL in {welcome!r}; the log ends with:\n{self.log()[-4000:]}')
        self.scheme, self.port = match[1], int(match[2])
        self.base_url = f'{self.scheme}://127.0.0.1:{self.port}/v1'
        key = re.search(r'key +(\S+) +\(shown once', welcome)
        if key:
            self.key = key[1]
        self.welcome = welcome

    def _read_welcome(self):
        """Stdout up to the end of the curl line, or to its end."""
        text, end = '', time.monotonic() + DEADLINE_S
        fd = self.process.stdout.fileno()
        while not re.search(r"Why is the sky blue.*'\n", text):
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                break
            bytes_read = os.read(fd, 65536)
            if not bytes_read:
                break
            text += bytes_read.decode()
        return text

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as file:
            return file.read()

    def logs(self):
        """The gateway's and its engines', by path."""
        out = {}
        for path in glob.glob(self.log_path) + glob.glob(os.path.join(self.data_dir, 'machines', '*', 'log')):
            with open(path, encoding='utf-8', errors='replace') as file:
                out[path] = file.read()
        return out

    # --- Its engines.

    def engine_volumes(self):
        """{pid: the volume it was started with}. Told by the data_dir in their arguments, so that those of a killed
        gateway are found too."""
        volume = re.compile(re.escape(f'{self.data_dir}/machines/').encode() + rb'([^/\0]+)/')
        found = {}
        for path in glob.glob('/proc/[0-9]*/cmdline'):
            try:
                with open(path, 'rb') as file:
                    if match := volume.search(file.read()):
                        found[int(path.split('/')[2])] = match[1].decode()
            except OSError:
                pass  # it has just ended
        return found

    def engine_pids(self):
        return sorted(self.engine_volumes())

    def engine_pid(self):
        pids = self.engine_pids()
        if len(pids) != 1:
            raise AssertionError(f'one engine was expected, but there are {pids}')
        return pids[0]

    def wait_for_no_engine(self, why, deadline_s=DEADLINE_S):
        wait_for(lambda: not self.engine_pids(), f'no engine is left {why}', deadline_s)

    # --- Ends.

    def terminate(self, deadline_s=DEADLINE_S):
        """SIGTERM; its exit status."""
        self.process.terminate()
        status = self.process.wait(deadline_s)
        self.process.stdout.close()
        return status

    def kill(self):
        """kill -9: its engines stay."""
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process is not None:
            self.process.stdout.close()
        for pid in self.engine_pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            wait_for_exit(pid, 'it was killed')
        if outputs := os.environ.get('TEST_UNDECLARED_OUTPUTS_DIR'):
            for path in self.logs():
                name = os.path.relpath(path, os.environ['TEST_TMPDIR']).replace('/', '_')
                shutil.copy(path, os.path.join(outputs, name))
        shutil.rmtree(self.data_dir, ignore_errors=True)

    # --- Requests.

    def headers(self, more=None):
        headers = {'content-type': 'application/json'}
        if self.key:
            headers['authorization'] = f'Bearer {self.key}'
        headers.update(more or {})
        return {name: value for name, value in headers.items() if value is not None}

    def request(self, method, path, body=None, headers=None, deadline_s=DEADLINE_S):
        """(status, headers, body) over a connection of its own; a dict as `body` goes as JSON. A header of None is left
        out."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=deadline_s)
        try:
            data = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method, path, data, self.headers(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def post(self, path, body, headers=None):
        """(status, headers, JSON)"""
        status, response_headers, data = self.request('POST', path, body, headers)
        return status, response_headers, json.loads(data)

    def ask(self, content='Say hello.', **fields):
        """The text of a whole answer that must be given."""
        status, _, body = self.post('/v1/chat/completions', chat(content, **{'max_tokens': 4, 'temperature': 0, **fields}))
        if status != 200:
            raise AssertionError(f'{status}: {body}')
        return body['choices'][0]['message']['content']

    def stream(self, body, path='/v1/chat/completions', headers=None, receive_bytes=None):
        return RawStream(self, path, {**body, 'stream': True}, headers, receive_bytes)

    def metrics(self):
        status, _, text = self.request('GET', '/metrics')
        if status != 200:
            raise AssertionError(f'/metrics: {status}')
        return text.decode()

    def metric(self, name, text=None, **labels):
        """The sum of the samples whose labels contain `labels`; `text`: of metrics(), where several are wanted."""
        total = 0
        for line in (text or self.metrics()).splitlines():
            match = re.fullmatch(rf'spotinference_{name}(?:{{(.*)}})? (\S+)', line)
            if match and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[1] or '')).items():
                total += float(match[2])
        return total

    def wait_for_metric(self, name, value, deadline_s=DEADLINE_S, **labels):
        wait_for(lambda: self.metric(name, **labels) == value, f'{name}{labels} is {value}', deadline_s)


class Broken(Exception):
    """A body that did not end as HTTP says."""


class RawStream:
    """A POST over a plain socket, seen as bytes, so that a clean end can be told from a broken one."""

    def __init__(self, gateway, path, body, headers=None, receive_bytes=None):
        data = json.dumps(body).encode()
        head = [f'POST {path} HTTP/1.1', 'host: localhost', f'content-length: {len(data)}']
        head += [f'{name}: {value}' for name, value in gateway.headers(headers).items()]
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(('127.0.0.1', gateway.port))
        self.socket.sendall('\r\n'.join(head).encode() + b'\r\n\r\n' + data)
        self.raw = b''   # not yet taken apart
        self.body = b''  # with the chunks put together
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def _fill(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError as error:
            raise Broken('the connection was reset') from error
        if not data:
            raise Broken('the connection ended')
        self.raw += data

    def _take(self, size):
        while len(self.raw) < size:
            self._fill()
        data, self.raw = self.raw[:size], self.raw[size:]
        return data

    def _take_until(self, mark):
        while mark not in self.raw:
            self._fill()
        return self._take(self.raw.index(mark) + len(mark))

    def read_head(self):
        """The status; `headers` has the rest, names in lower case."""
        if self.status is None:
            lines = self._take_until(b'\r\n\r\n').decode().split('\r\n')
            self.status = int(lines[0].split()[1])
            self.headers = {name.lower(): value.strip() for name, value in (line.split(':', 1) for line in lines[1:] if line)}
        return self.status

    def read_chunk(self):
        """One piece of the body; b'' at its clean end."""
        self.read_head()
        if 'content-length' in self.headers:
            piece = self._take(int(self.headers.pop('content-length')))
            self.headers['transfer-encoding'] = 'none'
        elif self.headers.get('transfer-encoding') == 'chunked':
            piece = self._take(int(self._take_until(b'\r\n'), 16))
            if self._take(2) != b'\r\n':
                raise Broken('a chunk without its end')
        else:
            return b''
        self.body += piece
        return piece

    def read_until(self, mark):
        while mark not in self.body:
            if not self.read_chunk():
                raise AssertionError(f'{mark!r} never came; the body is {self.body!r}')
        return self.body

    def read_text(self, deltas):
        """Reads until that many pieces of text have come."""
        while self.body.count(b'"content":"') <= deltas:  # the first one is the role's
            if not self.read_chunk():
                raise AssertionError(f'the answer ended after {self.body!r}')

    def read_all(self):
        """The body to its clean end; Broken otherwise."""
        while self.read_chunk():
            pass
        return self.body

    def events(self):
        """The data of what has come: JSON, and '[DONE]' as it is."""
        return parse_events(self.body)


def parse_events(body):
    events = []
    for line in body.decode().split('\n'):
        if line.startswith('data: '):
            data = line[len('data: '):]
            events.append(data if data == '[DONE]' else json.loads(data))
    return events


def text_of(events, index=0):
    """Of one choice of a chat stream."""
    return ''.join(choice['delta'].get('content') or '' for event in events if event != '[DONE]'
                   for choice in event['choices'] if choice['index'] == index)


class GatedEngine:
    """An engine that starts only when it is let through, and a list of all starts: slowness without a clock."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='gate.', dir=os.environ['TEST_TMPDIR'])
        self.starts_path = os.path.join(self.dir, 'starts')
        self.gate_path = os.path.join(self.dir, 'gate')
        self.path = os.path.join(self.dir, 'engine')
        os.mkfifo(self.gate_path)
        engine = runfile('engine/server/main')
        with open(self.path, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\necho $$ >> {self.starts_path}\nread go < {self.gate_path}\nexec {engine} "$@"\n')
        os.chmod(self.path, 0o755)

    def starts(self):
        try:
            with open(self.starts_path, encoding='ascii') as file:
                return len(file.read().split())
        except FileNotFoundError:
            return 0

    def open(self):
        """Lets one start through; waits for it to be there."""
        with open(self.gate_path, 'w', encoding='ascii') as file:
            file.write('go\n')


def in_parallel(calls):
    """The results of all calls, each on a thread of its own; raises the first exception."""
    results = [None] * len(calls)

    def run(i):
        try:
            results[i] = (calls[i](), None)
        except BaseException as error:  # pylint: disable=broad-except
            results[i] = (None, error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _, error in results:
        if error is not None:
            raise error
    return [result for result, _ in results]


def report(line):
    """A figure for whoever reads the test's log."""
    print(line, file=sys.stderr, flush=True)
