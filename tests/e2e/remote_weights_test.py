"""A gateway whose engines download their weights: it reads vocabulary and chat template from the file's head alone.

remote_weights_test.py MODEL.gguf
"""

import os
import signal
import socket
import subprocess
import sys
import unittest

from tests.e2e.fake_hub import COMMIT, FakeHub
from tests.e2e.harness import DEADLINE_S, MODEL, Gateway, chat, wait_for


def config(weights):
    return f'models: [{{name: {MODEL}, weights: "{weights}"}}]\nproviders: [{{local: {{}}}}]\n'


class RemoteWeightsTest(unittest.TestCase):
    def answer(self, gateway):
        status, _, answer = gateway.post('/v1/chat/completions', chat(temperature=0, max_tokens=12, logprobs=True))
        self.assertEqual(status, 200, answer)
        return answer['choices'], answer['system_fingerprint']

    def test_the_hub_and_a_web_server(self):
        with Gateway() as gateway:
            expected = self.answer(gateway)
        for web in (False, True):
            with self.subTest(web=web), FakeHub(GGUF) as hub:
                environment = {'HF_ENDPOINT': hub.url, 'HF_TOKEN': hub.token}
                weights = f'{hub.url}/blob#sha256={hub.sha256}' if web else 'hf://org/repo/model.gguf@main'
                with Gateway(config(weights), env=environment) as gateway:
                    head = hub.ranges[-1][1] + 1
                    self.assertLess(head, hub.size // 4, 'weights came to the gateway')
                    self.assertEqual(self.answer(gateway), expected)
                    pieces = [r for r in hub.ranges if r != (0, 0)]
                    self.assertEqual(sum(last - first + 1 for first, last in pieces), head + hub.size,
                                     'each byte comes to the engine once')
                    if not web:
                        with open(f'/proc/{gateway.engine_pid()}/cmdline', encoding='utf-8') as file:
                            self.assertIn(f'--model=hf://org/repo/model.gguf@{COMMIT}\0', file.read())
                    self.assertEqual(gateway.terminate(), 0)
                    asked, hub.token = len(hub.ranges), 'another'
                    gateway.start()
                    self.assertEqual(self.answer(gateway), expected)
                    self.assertEqual((len(hub.ranges), hub.refused), (asked, 0), 'a second life asks nobody')
                    wait_for(lambda: gateway.metric('kv_blocks_restored_total') > 0, 'KV came back from the volume')

    def test_who_waits_is_told_how_far_it_is(self):
        with FakeHub(GGUF) as hub:
            hub.gate.clear()
            environment = {'HF_ENDPOINT': hub.url, 'HF_TOKEN': hub.token}
            with Gateway(config('hf://org/repo/model.gguf'), env=environment) as gateway:
                with gateway.stream(chat(max_tokens=2), headers={'x-wake-progress': 'now'}) as stream:
                    stream.read_until(b'stage=downloading eta_s=')
                    self.assertEqual(gateway.metric('download_total_bytes'), hub.size)
                    self.assertLess(gateway.metric('download_done_bytes'), hub.size)
                    hub.gate.set()
                    self.assertTrue(stream.read_all().endswith(b'data: [DONE]\n\n'))
                self.assertEqual(gateway.metric('download_total_bytes'), 0)
                self.assertEqual(gateway.metric('wake_seconds_count', stage='downloading'), 1)

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
        with FakeHub(GGUF) as hub:
            for weights, why in ((f'{hub.url}/none#sha256={hub.sha256}', '404'),
                                 ('hf://org/repo/other.gguf', 'HTTP 404'),
                                 ('hf://org/repo/model-00001-of-00002.gguf', 'several files')):
                with self.subTest(weights):
                    gateway = Gateway(config(weights), env={'HF_ENDPOINT': hub.url, 'HF_TOKEN': hub.token})
                    with self.assertRaisesRegex(AssertionError, why):
                        gateway.start()
                    gateway.close()


if __name__ == '__main__':
    GGUF = os.path.realpath(sys.argv[1])
    unittest.main(argv=sys.argv[:1])
