"""The gateway's image serves the bundled model, the engine's boots it; a registry has what was pushed, to the digest.

    image_test GATEWAY.tar ENGINE.tar PUSH SKOPEO UMOCI RUNC REGISTRY MODEL
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import unittest
import urllib.request

GATEWAY, ENGINE, PUSH, SKOPEO, UMOCI, RUNC, REGISTRY, MODEL = (os.path.abspath(path) for path in sys.argv[1:9])
TMP = os.environ['TEST_TMPDIR']
RUNC_COMMAND = [RUNC, '--root', os.path.join(TMP, 'runc')]
OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
USER = 65532


def fetch(url, body=None, **headers):
    request = urllib.request.Request(url, body and json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


class Container:
    """One image's program, under runc, in the host's network."""

    def __init__(self, image, name, args, mounts=()):
        layout, self.bundle = os.path.join(TMP, name + '.layout'), os.path.join(TMP, name)
        os.mkdir(layout)
        subprocess.run(['tar', '-C', layout, '-xf', image], check=True)
        subprocess.run([UMOCI, 'unpack', '--image', layout + ':latest', self.bundle], check=True, capture_output=True)
        path = os.path.join(self.bundle, 'config.json')
        with open(path, encoding='utf-8') as file:
            self.config = json.load(file)
        self.config['process']['terminal'] = False
        self.config['process']['args'] = [args.get(arg, arg) for arg in self.config['process']['args']]
        self.config['process']['args'] += args.get(None, [])
        namespaces = self.config['linux']['namespaces']
        self.config['linux']['namespaces'] = [space for space in namespaces if space['type'] != 'network']
        # /data is a volume in the image; here it is a folder of the bundle that the image's user owns.
        self.config['mounts'] = [mount for mount in self.config['mounts'] if mount['destination'] != '/data']
        self.config['mounts'] += [{'destination': to, 'source': source, 'type': 'bind', 'options': ['bind', 'ro']}
                                  for source, to in mounts]
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(self.config, file)
        self.errors, self.name = os.path.join(TMP, name + '.stderr'), f'{name}-{os.getpid()}'
        with open(self.errors, 'wb') as errors:
            self.process = subprocess.Popen(RUNC_COMMAND + ['run', '--bundle', self.bundle, self.name],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)

    def line(self, pattern):
        """The first group of the first line of its stdout that has `pattern`."""
        for line in self.process.stdout:
            if found := re.search(pattern, line):
                return found[1]
        raise AssertionError(f'it ended before it said {pattern}:\n{self.log()}')

    def log(self):
        with open(self.errors, encoding='utf-8', errors='replace') as file:
            return file.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)  # runc hands it on
        self.process.stdout.read()
        return self.process.wait(timeout=60)

    def remove(self):
        subprocess.run(RUNC_COMMAND + ['delete', '--force', self.name], check=False, capture_output=True)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@unittest.skipUnless(os.geteuid() == 0 and os.access('/sys/fs/cgroup', os.W_OK), 'runc needs root and cgroups')
class Images(unittest.TestCase):

    def test_gateway_serves(self):
        gateway = Container(GATEWAY, 'gateway', {'--listen=0.0.0.0:8080': '--listen=127.0.0.1:0'})
        try:
            self.assertEqual(gateway.config['process']['user']['uid'], USER)
            url, key = gateway.line(r'URL\s+(\S+)'), gateway.line(r'key\s+(\S+)')
            answer = json.loads(fetch(url + '/chat/completions', {
                'model': 'smollm2-135m-instruct', 'temperature': 0, 'max_tokens': 12,
                'messages': [{'role': 'user', 'content': 'What is the capital of France?'}],
            }, **{'content-type': 'application/json', 'authorization': 'Bearer ' + key}))
            self.assertTrue(answer['choices'][0]['message']['content'])
            self.assertEqual(answer['usage']['completion_tokens'], 12)
            self.assertEqual(gateway.stop(), 0, gateway.log())
            with open(os.path.join(gateway.bundle, 'rootfs/etc/ssl/certs/ca-certificates.crt'), encoding='utf-8') as file:
                self.assertGreater(file.read().count('BEGIN CERTIFICATE'), 100)
        finally:
            gateway.remove()

    def test_engine_boots(self):
        engine = Container(ENGINE, 'engine', {'--listen=0.0.0.0:9000': '--listen=127.0.0.1:0',
                                              None: ['--model=/model.gguf', '--backend=cpu', '--ready_fd=1']},
                           [(os.path.realpath(MODEL), '/model.gguf')])
        try:
            libraries = os.listdir(os.path.join(engine.bundle, 'rootfs/lib/x86_64-linux-gnu'))
            self.assertLessEqual({'libvulkan.so.1', 'libX11.so.6', 'libXext.so.6'}, set(libraries))
            self.assertTrue(engine.line(r'^ready 127\.0\.0\.1:([1-9]\d*) '))
            self.assertEqual(engine.stop(), 0, engine.log())
        finally:
            engine.remove()


class Pushed(unittest.TestCase):

    def test_by_digest(self):
        config, log = os.path.join(TMP, 'registry.yaml'), os.path.join(TMP, 'registry.log')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(f'version: 0.1\nhttp: {{addr: 127.0.0.1:0}}\nstorage: {{filesystem: {{rootdirectory: {TMP}/blobs}}}}\n')
        registry = subprocess.Popen([REGISTRY, 'serve', config], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        try:
            said = []
            for line in registry.stderr:
                said.append(line)
                if found := re.search(r'listening on (127\.0\.0\.1:\d+)', line):
                    break
            else:
                self.fail('the registry did not start:\n' + ''.join(said))
            to = f'docker://{found[1]}/team/gateway:test'
            pushed = subprocess.run([PUSH, SKOPEO, GATEWAY, to, '--dest-tls-verify=false'], check=True, capture_output=True,
                                    text=True).stdout
            manifest = fetch(f'http://{found[1]}/v2/team/gateway/manifests/test', Accept=OCI_MANIFEST)
            self.assertEqual(pushed.splitlines()[-1], f'{to}@sha256:{hashlib.sha256(manifest).hexdigest()}')
            layers = json.loads(manifest)['layers']
            last = fetch(f'http://{found[1]}/v2/team/gateway/blobs/{layers[-1]["digest"]}')
            self.assertEqual('sha256:' + hashlib.sha256(last).hexdigest(), layers[-1]['digest'])
        finally:
            registry.kill()
            registry.wait()
            registry.stderr.close()


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
