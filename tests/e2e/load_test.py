"""Many at once: streams, connections, waiters, and clients that do not read."""

import socket
import threading
import unittest

from tests.e2e.harness import (DEADLINE_S, LONGEST, MODEL, TALKATIVE, Gateway, GatedEngine, chat, in_parallel, parse_events,
                               report, rss_bytes, text_of, wait_for)

CHAT = '/v1/chat/completions'


class Streams(unittest.TestCase):
    def test_64_streams_each_as_if_it_were_alone(self):
        bodies = [chat(f'Tell me about the number {i}.', seed=i, max_tokens=16, logit_bias=LONGEST) for i in range(64)]
        with Gateway() as gateway:
            def stream(body):
                with gateway.stream(body) as answer:
                    if answer.read_head() != 200:
                        raise AssertionError(f'{answer.status}: {answer.read_chunk()!r}')
                    events = parse_events(answer.read_all())
                    self.assertEqual((events[-1], events[-2]['choices'][0]['finish_reason']), ('[DONE]', 'length'))
                    return text_of(events)

            together = in_parallel([lambda b=b: stream(b) for b in bodies])
            for i in range(0, 64, 4):
                self.assertEqual(stream(bodies[i]), together[i], f'stream {i}')
            gateway.wait_for_metric('active_requests', 0)
            # Counted when an answer has gone out, which its client may know first.
            gateway.wait_for_metric('requests_total', 64 + 16, code='200', model=MODEL)
            gateway.engine_pid()


class Connections(unittest.TestCase):
    def test_1000_idle_ones_cost_nobody_anything(self):
        get = b'GET /health HTTP/1.1\r\nhost: x\r\n\r\n'
        with Gateway() as gateway:
            gateway.ask()
            before = rss_bytes(gateway.pid)
            clients = []
            self.addCleanup(lambda: [client.close() for client in clients])
            for _ in range(1000):
                clients.append(socket.create_connection(('127.0.0.1', gateway.port), DEADLINE_S))
                clients[-1].sendall(get)
                self.assertIn(b' 200 OK\r\n', clients[-1].recv(4096))
            each = (rss_bytes(gateway.pid) - before) / 1000
            report(f'an idle connection costs the gateway {each / 1024:.1f} KiB')
            self.assertLess(each, 16 << 10)
            self.assertTrue(gateway.ask())
            for client in clients[::100]:
                client.sendall(get)
                self.assertIn(b' 200 OK\r\n', client.recv(4096), 'it is still good')


class Waiters(unittest.TestCase):
    def test_300_requests_for_256_places(self):
        config = f'models: [{{name: {MODEL}, weights: bundled, park: {{requests: 256}}}}]\n'
        gate = GatedEngine()
        with Gateway(config, engine=gate.path) as gateway:
            answers, lock = [], threading.Lock()

            def ask():
                answer = gateway.post(CHAT, chat(max_tokens=1, temperature=0))
                with lock:
                    answers.append(answer)

            threads = [threading.Thread(target=ask) for _ in range(300)]
            for thread in threads:
                thread.start()
            # All are there before the engine is: the surplus is refused, and only that.
            wait_for(lambda: len(answers) >= 44 and gateway.metric('parked_requests') == 256, '256 parked, 44 refused')
            self.assertEqual(len(answers), 44)
            for status, headers, body in answers:
                self.assertEqual((status, body['error']['type'], body['error']['code']),
                                 (429, 'rate_limit_error', 'queue_full'))
                self.assertGreaterEqual(int(headers['retry-after']), 1)
                self.assertEqual(int(headers['retry-after']), -(-int(headers['retry-after-ms']) // 1000))
            gate.open()
            for thread in threads:
                thread.join(DEADLINE_S)
            self.assertEqual([status for status, _, _ in answers], [429] * 44 + [200] * 256)
            self.assertEqual(gateway.metric('parked_requests'), 0)
            self.assertEqual(gate.starts(), 1)

    def test_parked_bytes_are_bounded(self):
        config = f'models: [{{name: {MODEL}, weights: bundled, park: {{bytes: 64KiB}}}}]\n'
        gate = GatedEngine()
        with Gateway(config, engine=gate.path) as gateway:
            large = chat('word ' * 4000, max_tokens=1)
            with gateway.stream(large) as first:
                gateway.wait_for_metric('parked_requests', 1)
                status, headers, body = gateway.post(CHAT, large)
                self.assertEqual((status, body['error']['code']), (429, 'queue_full'))
                self.assertIn('retry-after', headers)
                gate.open()
                self.assertEqual(first.read_head(), 200)
                first.read_all()

    def test_waiters_that_leave_give_their_places_back(self):
        config = f'models: [{{name: {MODEL}, weights: bundled, park: {{requests: 2}}}}]\n'
        gate = GatedEngine()
        with Gateway(config, engine=gate.path) as gateway:
            leaving = [gateway.stream(chat()) for _ in range(2)]
            gateway.wait_for_metric('parked_requests', 2)
            self.assertEqual(gateway.post(CHAT, chat())[0], 429)
            for stream in leaving:
                stream.close()
            gateway.wait_for_metric('parked_requests', 0)
            with gateway.stream(chat(max_tokens=1)) as staying:
                gateway.wait_for_metric('parked_requests', 1)
                gate.open()
                self.assertEqual(staying.read_head(), 200)
                self.assertTrue(staying.read_all().endswith(b'[DONE]\n\n'))

    def test_progress_comments(self):
        gate = GatedEngine()
        with Gateway(engine=gate.path) as gateway:
            with gateway.stream(chat(max_tokens=2), headers={'x-wake-progress': 'now'}) as stream:
                self.assertEqual(stream.read_head(), 200)
                self.assertEqual(stream.headers['cache-control'], 'no-cache')
                stream.read_until(b'\n')
                comment = stream.body.decode()
                self.assertRegex(comment, rf'\A: waking {MODEL} stage=(launching|booting) eta_s=\d+\n\Z')
                gate.open()
                body = stream.read_all().decode()
            self.assertRegex(body, r'\A(: [^\n]+\n)+(data: [^\n]+\n\n)+\Z', 'no empty line after a comment')
            self.assertTrue(body.endswith('data: [DONE]\n\n'))

    def test_never_means_no_status_before_the_end_of_the_wake(self):
        gate = GatedEngine()
        with Gateway(engine=gate.path) as gateway:
            now = gateway.stream(chat(max_tokens=1), headers={'x-wake-progress': 'now'})
            never = gateway.stream(chat(max_tokens=1), headers={'x-wake-progress': 'never'})
            with now, never:
                gateway.wait_for_metric('parked_requests', 2)
                # Two comments are five seconds, in which the other one says nothing.
                now.read_until(b'\n')
                while now.body.count(b'\n') < 2:
                    now.read_chunk()
                never.socket.setblocking(False)
                with self.assertRaises(BlockingIOError):
                    never.socket.recv(1)
                never.socket.settimeout(DEADLINE_S)
                gate.open()
                self.assertTrue(never.read_all().startswith(b'data: '))

    def test_a_launch_delay_as_on_a_cloud(self):
        with Gateway('providers: [{local: {launch_delay: 3s}}]\n') as gateway:
            with gateway.stream(chat(max_tokens=1), headers={'x-wake-progress': 'now'}) as stream:
                stream.read_until(b'\n')
                self.assertIn(b' stage=launching eta_s=', stream.body)
                self.assertTrue(stream.read_all().endswith(b'[DONE]\n\n'))
            self.assertEqual(gateway.metric('wake_seconds_count', stage='launching'), 1)


class SlowReaders(unittest.TestCase):
    def test_a_client_that_stops_reading(self):
        with Gateway() as gateway:
            gateway.ask()
            before = rss_bytes(gateway.pid)
            with gateway.stream(chat(max_tokens=1000, seed=1, **TALKATIVE), receive_bytes=4096) as slow:
                self.assertEqual(slow.read_head(), 200)
                # Others are served while it holds everything back.
                texts = in_parallel([lambda: gateway.ask(max_tokens=40, logit_bias=LONGEST)] * 8)
                self.assertEqual(len(set(texts)), 1)
                gateway.wait_for_metric('active_requests', 1)  # a client has its answer a moment before the count falls
                grown = rss_bytes(gateway.pid) - before
                # When it reads again, it gets every byte.
                events = parse_events(slow.read_all())
            self.assertEqual(events[-1], '[DONE]')
            tokens = sum(len(c['logprobs']['content']) for e in events[:-1] for c in e['choices'] if c['logprobs'])
            self.assertEqual(tokens, 1000)
            report(f'beside 8 others, a stalled stream grew the gateway by {grown >> 10} KiB')
            self.assertLess(grown, 8 << 20)


if __name__ == '__main__':
    unittest.main()
