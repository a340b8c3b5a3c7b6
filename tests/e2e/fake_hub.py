"""Hugging Face's hub with one file in one repository, org/repo: what the engine and the gateway ask of the real one."""

import hashlib
import http.server
import os
import re
import threading

COMMIT = '0123456789abcdef0123456789abcdef01234567'


class FakeHub:
    """The file at `path` as `name`. `ranges`: what of it was asked for, as (first, last)."""

    def __init__(self, path, name='model.gguf', token='hf_secret'):
        self.path, self.name, self.token = path, name, token
        self.size = os.path.getsize(path)
        with open(path, 'rb') as file:
            self.sha256 = hashlib.sha256(file.read()).hexdigest()
        self.ranges, self.refused = [], 0
        self.gate = threading.Event()  # while it is not set, only what begins at 0 is answered
        self.gate.set()

    def __enter__(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_HEAD(self):
                hub.head(self)

            def do_GET(self):
                hub.get(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.gate.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def head(self, handler):
        if handler.path not in (f'/org/repo/resolve/{revision}/{self.name}' for revision in ('main', COMMIT)):
            return self.answer(handler, 404)
        if handler.headers['authorization'] != f'Bearer {self.token}':
            self.refused += 1
            return self.answer(handler, 401)
        return self.answer(handler, 302, {'location': f'{self.url}/blob', 'x-linked-etag': f'"{self.sha256}"',
                                          'x-linked-size': self.size, 'x-repo-commit': COMMIT})

    def get(self, handler):
        if handler.path != '/blob':
            return self.head(handler)
        first, last = map(int, re.fullmatch(r'bytes=(\d+)-(\d+)', handler.headers['range']).groups())
        self.ranges.append((first, last))
        if first > 0:
            self.gate.wait()
        with open(self.path, 'rb') as file:
            file.seek(first)
            body = file.read(last - first + 1)
        return self.answer(handler, 206, {'content-range': f'bytes {first}-{last}/{self.size}'}, body)

    @staticmethod
    def answer(handler, status, headers=None, body=b''):
        handler.send_response(status)
        for name, value in {**(headers or {}), 'content-length': len(body)}.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)
