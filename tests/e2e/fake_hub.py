"""Hugging Face's hub with one repository, org/repo: what the engine and the gateway ask of the real one."""

import hashlib
import http.server
import os
import re
import threading

COMMIT = '0123456789abcdef0123456789abcdef01234567'
IN_LFS = ('.gguf', '.safetensors', 'tokenizer.json')


class FakeHub:
    """`files`: paths by name. `ranges`: what of those in LFS was asked for, as (name, first, last);
    `queries`: with which queries."""

    def __init__(self, files, token='hf_secret'):
        self.files, self.token = files, token
        self.ranges, self.queries, self.refused = [], set(), 0
        self.gate = threading.Event()  # while it is not set, only what begins at 0 is answered
        self.gate.set()

    def size(self, name):
        return os.path.getsize(self.files[name])

    def sha256(self, name):
        return hashlib.sha256(self.read(name)).hexdigest()

    def read(self, name):
        with open(self.files[name], 'rb') as file:
            return file.read()

    def __enter__(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_HEAD(self):
                hub.get(self)

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
        match = re.fullmatch(rf'/org/repo/resolve/(?:main|{COMMIT})/(.+)', handler.path)
        if not match or match[1] not in self.files:
            return self.answer(handler, 404)
        if handler.headers['authorization'] != f'Bearer {self.token}':
            self.refused += 1
            return self.answer(handler, 401)
        if not match[1].endswith(IN_LFS):
            return self.answer(handler, 307, {'location': f'/api/resolve-cache/models/org/repo/{COMMIT}/{match[1]}',
                                              'x-repo-commit': COMMIT})
        return self.answer(handler, 302, {'location': f'{self.url}/blob/{match[1]}', 'x-repo-commit': COMMIT,
                                          'x-linked-etag': f'"{self.sha256(match[1])}"',
                                          'x-linked-size': self.size(match[1])})

    def git(self, handler, name):
        body = self.read(name)
        etag = hashlib.sha1(b'blob %d\0' % len(body) + body).hexdigest()
        return self.answer(handler, 200, {'etag': f'"{etag}"', 'x-repo-commit': COMMIT}, body)

    def get(self, handler):
        if handler.path.startswith('/api/resolve-cache/'):
            return self.git(handler, handler.path.rsplit('/', 1)[1])
        if not handler.path.startswith('/blob/'):
            return self.head(handler)
        name, _, query = handler.path[len('/blob/'):].partition('?')
        self.queries.add(query)
        first, last = map(int, re.fullmatch(r'bytes=(\d+)-(\d+)', handler.headers['range']).groups())
        self.ranges.append((name, first, last))
        if first > 0:
            self.gate.wait()
        body = self.read(name)
        return self.answer(handler, 206, {'content-range': f'bytes {first}-{last}/{len(body)}'}, body[first:last + 1])

    @staticmethod
    def answer(handler, status, headers=None, body=b''):
        handler.send_response(status)
        for name, value in {**(headers or {}), 'content-length': len(body)}.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        if handler.command != 'HEAD':
            handler.wfile.write(body)
