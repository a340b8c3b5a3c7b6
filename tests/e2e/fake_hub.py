"""Hugging Face's hub with one repository, org/repo: what the engine and the gateway ask of the real one."""

import functools
import hashlib
import http.server
import os
import re
import threading

COMMIT = '0123456789abcdef0123456789abcdef01234567'
IN_LFS = ('.gguf', '.safetensors', 'tokenizer.json')


@functools.lru_cache
def sha256(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


class FakeHub:
    """`files`: paths by name. `ranges`: what of those in LFS was asked for, as (name, first, last);
    `queries`: with which queries; `branches`: the commit of each."""

    def __init__(self, files, token='hf_secret'):
        self.files, self.token, self.branches = files, token, {'main': COMMIT}
        self.ranges, self.queries, self.refused = [], set(), 0
        self.gate = threading.Event()  # while it is not set, only what begins at 0 is answered
        self.gate.set()

    def size(self, name):
        return os.path.getsize(self.files[name])

    def sha256(self, name):
        return sha256(self.files[name])

    def read(self, name, first, last):
        with open(self.files[name], 'rb') as file:
            file.seek(first)
            return file.read(last - first + 1)

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

    def is_refused(self, handler):
        if handler.headers['authorization'] == f'Bearer {self.token}':
            return False
        self.refused += 1
        self.answer(handler, 401)
        return True

    def head(self, handler):
        match = re.fullmatch(r'/org/repo/resolve/([^/]+)/(.+)', handler.path)
        if not match:
            return self.answer(handler, 404, {'x-error-code': 'RepoNotFound'})
        revision, name = match.groups()
        if self.branches.get(revision, revision) != COMMIT:
            return self.answer(handler, 404, {'x-error-code': 'RevisionNotFound'})
        if name not in self.files:
            return self.answer(handler, 404, {'x-error-code': 'EntryNotFound'})
        if self.is_refused(handler):
            return None
        if not name.endswith(IN_LFS):
            return self.answer(handler, 307, {'location': f'/api/resolve-cache/models/org/repo/{COMMIT}/{name}',
                                              'x-repo-commit': COMMIT})
        return self.answer(handler, 302, {'location': f'{self.url}/blob/{name}', 'x-repo-commit': COMMIT,
                                          'x-linked-etag': f'"{self.sha256(name)}"',
                                          'x-linked-size': self.size(name)})

    def git(self, handler, name):
        if self.is_refused(handler):
            return None
        body = self.read(name, 0, self.size(name) - 1)
        etag = hashlib.sha1(b'blob %d\0' % len(body) + body).hexdigest()
        return self.answer(handler, 200, {'etag': f'"{etag}"', 'x-repo-commit': COMMIT}, body)

    def get(self, handler):
        cached = f'/api/resolve-cache/models/org/repo/{COMMIT}/'
        if handler.path.startswith(cached):
            return self.git(handler, handler.path.removeprefix(cached))
        if not handler.path.startswith('/blob/'):
            return self.head(handler)
        name, _, query = handler.path.removeprefix('/blob/').partition('?')
        self.queries.add(query)
        size = self.size(name)
        asked = re.fullmatch(r'bytes=(\d+)-(\d+)', handler.headers['range'] or f'bytes=0-{size - 1}')
        first, last = map(int, asked.groups())
        self.ranges.append((name, first, last))
        if first > 0:
            self.gate.wait()
        body = self.read(name, first, last)
        if not handler.headers['range']:
            return self.answer(handler, 200, body=body)
        return self.answer(handler, 206, {'content-range': f'bytes {first}-{last}/{size}'}, body)

    @staticmethod
    def answer(handler, status, headers=None, body=b''):
        handler.send_response(status)
        for name, value in {**(headers or {}), 'content-length': len(body)}.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        if handler.command != 'HEAD':
            handler.wfile.write(body)
