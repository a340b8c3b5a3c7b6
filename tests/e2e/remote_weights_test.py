"""A gateway whose engines download their weights: itself it reads no more than vocabulary and chat template.

remote_weights_test.py MODEL.gguf FOLDER/config.json SHARD-00001-of-00002.gguf
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from tests.e2e.fake_hub import COMMIT, FakeHub
from tests.e2e.harness import DEADLINE_S, MODEL, Gateway, chat, wait_for


TEMPLATE = "{% for message in messages %}{{ bos_token }}{{ message['content'] }}{{ eos_token }}{% endfor %}"


def config(weights):
    return f'models: [{{name: {MODEL}, weights: "{weights}"}}]\nproviders: [{{local: {{}}}}]\n'


def hub_of(path):
    return FakeHub({'model.gguf': path})


class RemoteWeightsTest(unittest.TestCase):
    def answer(self, gateway):
        status, _, answer = gateway.post('/v1/chat/completions', chat(temperature=0, max_tokens=12, logprobs=True))
        self.assertEqual(status, 200, answer)
        return answer['choices'], answer['system_fingerprint']

    def test_the_hub_and_a_web_server(self):
        with Gateway() as gateway:
            expected = self.answer(gateway)
        for web in (False, True):
            with self.subTest(web=web), hub_of(GGUF) as hub:
                size = hub.size('model.gguf')
                environment = {'HF_ENDPOINT': hub.url, 'HF_TOKEN': hub.token}
                weights = (f'{hub.url}/blob/model.gguf?signature=SECRET#sha256={hub.sha256("model.gguf")}' if web else
                           'hf://org/repo/model.gguf@main')
                with Gateway(config(weights), env=environment) as gateway:
                    head = hub.ranges[-1][2] + 1
                    self.assertLess(head, size // 4, 'weights came to the gateway')
                    self.assertEqual(self.answer(gateway), expected)
                    pieces = [(first, last) for _, first, last in hub.ranges if last > 0]
                    self.assertEqual(sum(last - first + 1 for first, last in pieces), head + size,
                                     'each byte comes to the engine once')
                    with open(f'/proc/{gateway.engine_pid()}/cmdline', encoding='utf-8') as file:
                        command = file.read()
                    if web:
                        self.assertEqual(hub.queries, {'signature=SECRET'})
                        for path, text in {'the command line': command, **gateway.logs()}.items():
                            self.assertNotIn('SECRET', text, path)
                    else:
                        self.assertIn(f'--model=hf://org/repo/model.gguf@{COMMIT}\0', command)
                    self.assertEqual(gateway.terminate(), 0)
                    asked, hub.token = len(hub.ranges), 'another'
                    gateway.start()
                    self.assertEqual(self.answer(gateway), expected)
                    self.assertEqual((len(hub.ranges), hub.refused), (asked, 0), 'a second life asks nobody')
                    wait_for(lambda: gateway.metric('kv_blocks_restored_total') > 0, 'KV came back from the volume')
                    heads = os.path.join(gateway.data_dir, 'models')
                    self.assertEqual(len(os.listdir(heads)), 1)
                    self.assertEqual(gateway.terminate(), 0)
                    gateway.config = ''
                    gateway.start()
                    self.assertEqual(os.listdir(heads), [], 'the head of a model that is no more')

    def test_several_files(self):
        with tempfile.TemporaryDirectory(dir=os.environ['TEST_TMPDIR']) as folder:
            for name in os.listdir(os.path.dirname(FOLDER_CONFIG)):
                shutil.copy(os.path.join(os.path.dirname(FOLDER_CONFIG), name), folder)
            with open(os.path.join(folder, 'chat_template.jinja'), 'w', encoding='utf-8') as file:
                file.write(TEMPLATE)
            shards = [SHARD, SHARD.replace('00001-of', '00002-of')]
            files = {os.path.basename(path): path
                     for path in shards + [os.path.join(folder, name) for name in os.listdir(folder)]}
            first = os.path.basename(SHARD)
            for local, remote, read in ((folder, '', ['tokenizer.json']), (SHARD, f'/{first}', [first])):
                with self.subTest(remote=remote), FakeHub(files) as hub:
                    with Gateway(config(f'file://{local}')) as gateway:
                        expected = self.text(gateway)
                    environment = {'HF_ENDPOINT': hub.url, 'HF_TOKEN': hub.token}
                    with Gateway(config(f'hf://org/repo{remote}'), env=environment) as gateway:
                        self.assertEqual([name for name, _, _ in hub.ranges], read, 'only text came to the gateway')
                        hub.branches.clear()  # the engine asks for the commit that the gateway has read
                        self.assertEqual(self.text(gateway), expected)
                        with open(f'/proc/{gateway.engine_pid()}/cmdline', encoding='utf-8') as file:
                            self.assertIn(f'--model=hf://org/repo{remote}@{COMMIT}\0', file.read())
                        self.assertEqual(gateway.terminate(), 0)
                        asked, hub.token = len(hub.ranges), 'another'
                        gateway.start()
                        self.assertEqual(self.text(gateway), expected)
                        self.assertEqual((len(hub.ranges), hub.refused), (asked, 0), 'a second life asks nobody')

    def text(self, gateway):
        status, _, answer = gateway.post('/v1/completions', {'model': MODEL, 'prompt': 'The theatre on the hill',
                                                             'temperature': 0, 'max_tokens': 12, 'logprobs': 2})
        self.assertEqual(status, 200, answer)
        return answer['choices']

    def test_who_waits_is_told_how_far_it_is(self):
        with hub_of(GGUF) as hub:
            hub.gate.clear()
            environment = {'HF_ENDPOINT': hub.url, 'HF_TOKEN': hub.token}
            with Gateway(config('hf://org/repo/model.gguf'), env=environment) as gateway:
                with gateway.stream(chat(max_tokens=2), headers={'x-wake-progress': 'now'}) as stream:
                    stream.read_until(b'stage=downloading eta_s=')
                    self.assertEqual(gateway.metric('download_total_bytes'), hub.size('model.gguf'))
                    self.assertLess(gateway.metric('download_done_bytes'), hub.size('model.gguf'))
                    hub.gate.set()
                    self.assertTrue(stream.read_all().endswith(b'data: [DONE]\n\n'))
                self.assertEqual(gateway.metric('download_total_bytes'), 0)
                gateway.wait_for_metric('wake_seconds_count', 1, stage='downloading')  # told after the answers

    def test_a_start_that_waits_for_the_hub_can_be_ended(self):
        with socket.create_server(('127.0.0.1', 0)) as silent:
            environment = {**os.environ, 'HF_ENDPOINT': f'http://127.0.0.1:{silent.getsockname()[1]}'}
            gateway = Gateway(config('hf://org/repo/model.gguf'))
            with open(gateway.log_path, 'ab') as log:
                process = subprocess.Popen(gateway.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env=environment)
            try:
                silent.accept()[0].recv(1)  # it asks
                process.terminate()
                self.assertEqual(process.wait(DEADLINE_S), -signal.SIGTERM)
            finally:
                process.kill()

    def test_what_is_wrong_is_said(self):
        with hub_of(GGUF) as hub:
            for weights, why in ((f'{hub.url}/none#sha256={hub.sha256("model.gguf")}', '404'),
                                 ('hf://org/repo/other.gguf', 'HTTP 404'),
                                 ('hf://org/repo', 'a GGUF model is given by its file')):
                with self.subTest(weights):
                    gateway = Gateway(config(weights), env={'HF_ENDPOINT': hub.url, 'HF_TOKEN': hub.token})
                    with self.assertRaisesRegex(AssertionError, why):
                        gateway.start()
                    gateway.close()


if __name__ == '__main__':
    GGUF, FOLDER_CONFIG, SHARD = map(os.path.abspath, sys.argv[1:])
    unittest.main(argv=sys.argv[:1])
