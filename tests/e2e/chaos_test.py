"""What dies, stops or never starts, and what the clients see of it."""

import http.client
import json
import os
import re
import select
import signal
import subprocess
import time
import unittest

import openai

from tests.e2e.harness import (DEADLINE_S, LONGEST, MODEL, TALKATIVE, Broken, Gateway, GatedEngine, chat, cpu_seconds,
                               in_parallel, runfile, text_of, wait_for, wait_for_exit)

CHAT = '/v1/chat/completions'
LONG = chat(logit_bias=LONGEST, temperature=0)  # as long as the context


# With a seed, so that noise is part of what must go on unchanged.
MOVED = chat(logit_bias=LONGEST, max_tokens=120, temperature=0.8, seed=7)
# Of 1.6 KB a token: some 130 tokens lie on the way to a client with a small buffer, and while it does not read, the
# answer is not over, however long it is held up.
HELD = chat(**TALKATIVE, max_tokens=300, temperature=0.8, seed=7)
SMALL_BUFFER = 4096


class EngineDies(unittest.TestCase):
    """The answer goes on at the next engine as if nothing had been."""

    def setUp(self):
        self.gateway = Gateway()
        self.addCleanup(self.gateway.close)
        self.gateway.start()

    def kill_engine(self):
        pid = self.gateway.engine_pid()
        os.kill(pid, signal.SIGKILL)
        return pid

    def undisturbed(self, body):
        status, _, answer = self.gateway.post(CHAT, body)
        self.assertEqual(status, 200, answer)
        return [choice['message']['content'] for choice in answer['choices']], answer['usage']

    def test_in_mid_stream_seen_as_bytes(self):
        (text,), usage = self.undisturbed(HELD)
        stream = self.gateway.stream({**HELD, 'stream_options': {'include_usage': True}}, receive_bytes=SMALL_BUFFER)
        self.addCleanup(stream.close)
        stream.read_text(5)
        dead = self.kill_engine()
        self.assertTrue(stream.read_all().endswith(b'data: [DONE]\n\n'))
        events = stream.events()
        self.assertEqual(text_of(events), text)
        counted = ('prompt_tokens', 'completion_tokens', 'total_tokens')
        self.assertEqual([events[-2]['usage'][name] for name in counted], [usage[name] for name in counted])
        self.assertEqual(self.gateway.metric('stream_resumes_total', exact='true'), 1)
        self.assertNotEqual(self.gateway.engine_pid(), dead)
        self.gateway.wait_for_metric('active_requests', 0)

    def test_in_mid_stream_seen_by_the_sdk(self):
        # Longer than all that lies in buffers on the way, the SDK's too: it is not over when an engine is killed.
        body = {**HELD, 'max_tokens': 600}
        (text,), _ = self.undisturbed(body)
        client = openai.OpenAI(base_url=self.gateway.base_url, api_key=self.gateway.key, timeout=DEADLINE_S)
        self.addCleanup(client.close)
        seen, kills = '', 0
        for chunk in client.chat.completions.create(**body, stream=True):
            seen += chunk.choices[0].delta.content or ''
            # The second one, once it has said something: it says nothing to a client that waits instead of reading.
            if kills < 2 and len(seen) > 20 and self.gateway.metric('stream_resumes_total') == kills:
                kills += 1
                self.kill_engine()
        self.assertEqual(seen, text)
        self.assertEqual(self.gateway.metric('stream_resumes_total'), 2)

    def test_under_a_whole_answer(self):
        body = {**MOVED, 'n': 2, 'max_tokens': 600}  # seconds: it is seen to be active before it is over
        texts, usage = self.undisturbed(body)

        def kill():
            self.gateway.wait_for_metric('active_requests', 1)
            return self.kill_engine()

        (status, _, answer), dead = in_parallel([lambda: self.gateway.post(CHAT, body), kill])
        self.assertEqual(status, 200, answer)
        self.assertEqual([choice['message']['content'] for choice in answer['choices']], texts)
        self.assertEqual(answer['usage']['completion_tokens'], usage['completion_tokens'])
        self.assertNotEqual(self.gateway.engine_pid(), dead)

    def test_under_many_streams(self):
        body = {**HELD, 'n': 2, 'max_tokens': 200}
        texts, _ = self.undisturbed(body)
        streams = [self.gateway.stream(body, receive_bytes=SMALL_BUFFER) for _ in range(8)]
        for stream in streams:
            self.addCleanup(stream.close)
            stream.read_text(2)
        self.kill_engine()
        in_parallel([stream.read_all for stream in streams])
        for stream in streams:
            self.assertEqual([text_of(stream.events(), index) for index in (0, 1)], texts)
        self.assertEqual(self.gateway.metric('stream_resumes_total'), 8)
        self.gateway.engine_pid()
        self.gateway.wait_for_metric('active_requests', 0)

    def test_while_a_long_prompt_is_read(self):
        body = {**MOVED, **chat(' '.join(f'{i} bottles.' for i in range(450)))}
        self.gateway.ask()
        engine = self.gateway.engine_pid()
        before_s = cpu_seconds(engine)
        stream = self.gateway.stream(body)
        self.addCleanup(stream.close)
        wait_for(lambda: cpu_seconds(engine) > before_s + 0.1, 'it reads; the whole prompt takes it over a second')
        self.kill_engine()
        self.assertEqual(select.select([stream.socket], [], [], 0)[0], [], 'no token has come')
        stream.read_all()
        (text,), usage = self.undisturbed(body)
        self.assertGreaterEqual(usage['prompt_tokens'], 1000)
        self.assertEqual(text_of(stream.events()), text)
        self.assertEqual(self.gateway.metric('stream_resumes_total', exact='true'), 1)

    def test_a_client_that_leaves_while_its_answer_moves(self):
        gate = GatedEngine()  # the second engine never comes: the answer is parked for as long as it is looked for
        with Gateway(engine=gate.path) as gateway:
            stream = gateway.stream(LONG)
            self.addCleanup(stream.close)
            gate.open()
            stream.read_text(5)
            os.kill(gateway.engine_pid(), signal.SIGKILL)
            gateway.wait_for_metric('parked_requests', 1)
            stream.close()
            gateway.wait_for_metric('parked_requests', 0)
            gateway.wait_for_metric('active_requests', 0)

    def test_while_idle(self):
        text = self.gateway.ask()
        dead = self.kill_engine()
        wait_for_exit(dead, 'it was killed')
        self.assertEqual(self.gateway.ask(), text)
        self.assertNotEqual(self.gateway.engine_pid(), dead)


class GatewayDies(unittest.TestCase):
    def setUp(self):
        self.gateway = Gateway()
        self.addCleanup(self.gateway.close)
        self.gateway.start()

    def test_the_next_one_adopts_its_engine(self):
        text = self.gateway.ask()
        engine = self.gateway.engine_pid()
        self.gateway.kill()
        self.assertEqual(self.gateway.engine_pid(), engine)
        self.gateway.start()
        self.gateway.wait_for_metric('machines', 1, state='serving')
        self.assertEqual(self.gateway.ask(), text)
        self.assertEqual(self.gateway.engine_pid(), engine, 'no other one was started')
        # It is the new gateway's own now: its death is seen, and its end is ordered.
        os.kill(engine, signal.SIGKILL)
        self.assertEqual(self.gateway.ask(), text)
        self.assertNotEqual(self.gateway.engine_pid(), engine)
        self.assertEqual(self.gateway.terminate(), 0)
        self.assertEqual(self.gateway.engine_pids(), [])

    def test_in_mid_stream(self):
        stream = self.gateway.stream(LONG)
        self.addCleanup(stream.close)
        stream.read_text(5)
        engine = self.gateway.engine_pid()
        self.gateway.kill()
        with self.assertRaises(Broken):
            stream.read_all()
        self.gateway.start()
        self.assertTrue(self.gateway.ask())
        self.assertEqual(self.gateway.engine_pid(), engine)

    def test_while_the_engine_starts(self):
        gate = GatedEngine()
        with Gateway(engine=gate.path) as gateway:
            stream = gateway.stream(chat(max_tokens=2))
            self.addCleanup(stream.close)
            wait_for(lambda: gate.starts() == 1, 'the first start')
            first = gateway.engine_pid()
            gateway.kill()
            gateway.engine = None
            gateway.start()
            self.assertTrue(gateway.ask())
            wait_for(lambda: first not in gateway.engine_pids(), 'the half-started one is ended')
            gateway.engine_pid()

    def test_its_state_is_lost_too(self):
        """Nobody remembers the engine, but it holds the volume, so it cannot be overlooked."""
        self.gateway.ask()
        engine = self.gateway.engine_pid()
        self.gateway.kill()
        for name in os.listdir(self.gateway.data_dir):
            if name.startswith('fleet.db'):
                os.remove(os.path.join(self.gateway.data_dir, name))
        self.gateway.start()
        self.assertTrue(self.gateway.ask())
        self.assertNotEqual(self.gateway.engine_pid(), engine, 'the forgotten one was ended, not joined')


class GatewayStops(unittest.TestCase):
    def start(self, grace):
        gateway = Gateway(config=f'limits: {{shutdown_grace: {grace}}}\n')
        self.addCleanup(gateway.close)
        gateway.start()
        return gateway

    def test_grace_over_gives_an_error_event_and_no_clean_end(self):
        gateway = self.start('100ms')
        stream = gateway.stream(LONG)
        self.addCleanup(stream.close)
        stream.read_text(5)
        gateway.process.terminate()
        with self.assertRaises(Broken):
            stream.read_all()
        error = stream.events()[-1]['error']
        self.assertEqual((error['type'], error['code']), ('server_error', 'shutting_down'))
        self.assertNotIn(b'[DONE]', stream.body)
        self.assertEqual(gateway.terminate(), 0)
        self.assertEqual(gateway.engine_pids(), [])

    def test_a_long_grace_lets_streams_finish(self):
        gateway = self.start('10m')
        whole = gateway.ask(max_tokens=60, logit_bias=LONGEST)
        body = chat('Say hello.', max_tokens=60, temperature=0, logit_bias=LONGEST)
        stream = gateway.stream(body)
        self.addCleanup(stream.close)
        idle = http.client.HTTPConnection('127.0.0.1', gateway.port, timeout=DEADLINE_S)
        self.addCleanup(idle.close)
        idle.request('GET', '/health')
        idle.getresponse().read()
        stream.read_text(3)
        gateway.process.terminate()
        self.assertEqual(idle.sock.recv(1), b'', 'an idle connection is closed at once')
        stream.read_all()
        self.assertEqual(text_of(stream.events()), whole)
        self.assertEqual(stream.events()[-1], '[DONE]')
        self.assertEqual(gateway.terminate(), 0)
        self.assertEqual(gateway.engine_pids(), [])

    def test_while_requests_are_parked(self):
        gate = GatedEngine()
        gateway = Gateway(config='limits: {shutdown_grace: 100ms}\n', engine=gate.path)
        self.addCleanup(gateway.close)
        gateway.start()

        def stop():
            gateway.wait_for_metric('parked_requests', 3)
            gateway.process.terminate()

        *answers, _ = in_parallel([lambda: gateway.post(CHAT, chat()), lambda: gateway.post(CHAT, chat(stream=True)),
                                   lambda: gateway.post(CHAT, chat(n=2)), stop])
        for status, _, body in answers:
            self.assertEqual((status, body['error']['code']), (503, 'shutting_down'))
        self.assertEqual(gateway.terminate(), 0)
        self.assertEqual(gateway.engine_pids(), [])

    def test_idle(self):
        gateway = self.start('10m')
        gateway.ask()
        self.assertEqual(gateway.terminate(), 0)
        self.assertEqual(gateway.engine_pids(), [])

    def test_interrupt_key(self):
        gateway = self.start('10m')
        gateway.process.send_signal(signal.SIGINT)
        self.assertEqual(gateway.process.wait(DEADLINE_S), 0)


class Idle(unittest.TestCase):
    def test_back_to_zero_and_up_again(self):
        config = f'models: [{{name: {MODEL}, weights: bundled, idle_timeout: 1s}}]\n'
        with Gateway(config) as gateway:
            text = gateway.ask()
            with gateway.stream(LONG) as stream:  # while it is asked who it is, it is not idle
                stream.read_text(1)
                first = gateway.engine_pid()
            wait_for_exit(first, 'it is idle')
            gateway.wait_for_metric('machines', 1, state='hibernated')
            # Nothing that is only looked at wakes it.
            for path in '/health', '/ready', '/metrics', '/v1/models':
                self.assertEqual(gateway.request('GET', path)[0], 200)
            self.assertEqual(gateway.engine_pids(), [])
            self.assertEqual(gateway.ask(), text)
            with gateway.stream(LONG) as stream:
                stream.read_text(1)
                self.assertNotEqual(gateway.engine_pid(), first)

    def test_a_running_stream_is_not_idle(self):
        config = f'models: [{{name: {MODEL}, weights: bundled, idle_timeout: 10ms}}]\n'
        with Gateway(config) as gateway:
            body = chat(max_tokens=100, temperature=0, logit_bias=LONGEST)
            with gateway.stream(body) as stream:
                self.assertTrue(stream.read_all().endswith(b'data: [DONE]\n\n'))
            gateway.wait_for_no_engine('after the last stream')


class CannotStart(unittest.TestCase):
    def test_a_broken_model_file_is_refused_at_start(self):
        gateway = Gateway()
        self.addCleanup(gateway.close)
        path = os.path.join(gateway.data_dir, 'garbage.gguf')
        for content in b'this is no model' * 100, b'GGUF\x03\0\0\0' + b'\xff' * 64, b'':
            with open(path, 'wb') as file:
                file.write(content)
            gateway.config = (f'models:\n  - {{name: {MODEL}, weights: bundled}}\n'
                              f'  - {{name: broken, weights: "file://{path}"}}\n')
            done = subprocess.run(gateway.command(), env={'HOME': gateway.data_dir, 'TEST_SRCDIR': os.environ['TEST_SRCDIR']},
                                  capture_output=True, text=True, timeout=DEADLINE_S, check=False)
            self.assertIn(done.returncode, (1, 2))
            self.assertRegex(done.stderr, r"^gateway: model 'broken': ", 'the message says which model')
            self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
            self.assertEqual(done.stdout, '')
        gateway.config = f'models: [{{name: m, weights: "file://{path}.not"}}]\n'
        done = subprocess.run(gateway.command(), env={'HOME': gateway.data_dir}, capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('garbage.gguf.not', done.stderr)

    def test_an_engine_that_fails_puts_the_model_into_back_off(self):
        for status in 1, 2:
            with self.subTest(status=status):
                gate = GatedEngine()
                with open(gate.path, 'w', encoding='utf-8') as file:
                    file.write(f'#!/bin/sh\necho $$ >> {gate.starts_path}\necho "no such device" >&2\nexit {status}\n')
                with Gateway(engine=gate.path) as gateway:
                    began = time.monotonic()
                    answers = in_parallel([lambda: gateway.post(CHAT, chat())] * 4)
                    for got, headers, body in answers:
                        self.assertEqual((got, body['error']['type'], body['error']['code']),
                                         (503, 'server_error', 'model_unavailable'), body)
                        self.assertGreater(int(headers['retry-after']), 0)
                        self.assertGreater(int(headers['retry-after-ms']), 0)
                        self.assertIn(MODEL, body['error']['message'])
                    starts = gate.starts()
                    self.assertLessEqual(starts, 2, 'it does not spin')
                    # In the back-off the answer comes at once, to streams too, and nothing is started.
                    with gateway.stream(chat()) as stream:
                        self.assertEqual(stream.read_head(), 503)
                    self.assertEqual(gateway.post(CHAT, chat())[0], 503)
                    now = gate.starts()
                    if time.monotonic() - began < int(answers[0][1]['retry-after-ms']) / 1000:  # else it may be over
                        self.assertEqual(now, starts)
                    self.assertEqual(gateway.metric('machines', state='serving'), 0)

    def test_no_engine_program(self):
        with Gateway(engine='/nowhere/engine') as gateway:
            status, headers, body = gateway.post(CHAT, chat())
            self.assertEqual(status, 503, body)
            self.assertIn('retry-after', headers)

    def test_a_model_recovers_when_its_engine_does(self):
        gate = GatedEngine()
        with open(gate.path, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\n[ -e {gate.dir}/well ] || exit 1\nexec {runfile("engine/server/main")} "$@"\n')
        with Gateway(engine=gate.path) as gateway:
            status, headers, _ = gateway.post(CHAT, chat())
            self.assertEqual(status, 503)
            with open(f'{gate.dir}/well', 'w', encoding='ascii'):
                pass
            # The SDK honours retry-after-ms by itself.
            client = openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key, timeout=DEADLINE_S, max_retries=10)
            with client:
                self.assertTrue(client.chat.completions.create(**chat(max_tokens=2)).choices)
            self.assertLess(int(headers['retry-after']), 60)

    def test_the_wake_passes_its_cap(self):
        config = f'models: [{{name: {MODEL}, weights: bundled, wake_cap: 2s}}]\n'
        gate = GatedEngine()  # never opened
        with Gateway(config, engine=gate.path) as gateway:
            status, headers, body = gateway.post(CHAT, chat())
            self.assertEqual((status, body['error']['code']), (504, 'wake_timeout'), body)
            self.assertEqual(headers['x-should-retry'], 'false')
            # A stream that has begun hears the same as an event.
            gateway.wait_for_no_engine('after the cap')
            with gateway.stream(chat(), headers={'x-wake-progress': 'now'}) as stream:
                self.assertEqual(stream.read_head(), 200)
                with self.assertRaises(Broken):
                    stream.read_all()
                error = stream.events()[-1]['error']
                self.assertIn(error['code'], ('wake_timeout', 'model_unavailable'))
                self.assertTrue(re.match(rb'(: [^\n]+\n)+data: ', stream.body), stream.body)
                self.assertEqual(list(json.loads(stream.body.split(b'data: ')[1])), ['error'])


if __name__ == '__main__':
    unittest.main()
