"""What engine and gateway keep in memory."""

import json
import os
import unittest

from tests.e2e.harness import DEADLINE_S, MODEL, TALKATIVE, Gateway, chat, in_parallel, report, rss_bytes, wait_for

# SmolLM2-135M: 30 layers, keys and values of 3 heads of 64 elements, 2 bytes each.
KV_BYTES_PER_TOKEN = 30 * 2 * 3 * 64 * 2
BLOCK_TOKENS = 16  # in which KV is taken


class EngineProcess(unittest.TestCase):
    def test_resident_memory_is_the_weights_and_the_kv_in_use(self):
        with Gateway() as gateway:
            status, _, answer = gateway.post('/v1/chat/completions', chat('word ' * 600, max_tokens=100))
            self.assertEqual(status, 200)
            pid = gateway.engine_pid()
            with open(f'/proc/{pid}/cmdline', encoding='utf-8') as file:
                arguments = file.read().split('\0')
            model = next(a.split('=', 1)[1] for a in arguments if a.startswith('--model='))
            weights = os.stat(f'/proc/{pid}/cwd/{model}').st_size if not model.startswith('/') else os.stat(model).st_size
            kv = -(-answer['usage']['total_tokens'] // BLOCK_TOKENS) * BLOCK_TOKENS * KV_BYTES_PER_TOKEN
            resident = rss_bytes(pid)
            report(f'the engine: {resident / 1e6:.0f} MB resident, {weights / 1e6:.0f} MB the file, {kv / 1e6:.0f} MB '
                   f'KV in use: (resident - KV) / file = {(resident - kv) / weights:.2f}')
            self.assertLess(resident, 1.2 * weights + kv)


class GatewayProcess(unittest.TestCase):
    def test_a_stalled_stream(self):
        count = 200
        with Gateway() as gateway:
            in_parallel([lambda: gateway.ask(max_tokens=2)] * 16)
            gateway.wait_for_metric('active_requests', 0)
            before = rss_bytes(gateway.pid)
            streams = []
            self.addCleanup(lambda: [stream.close() for stream in streams])
            for i in range(count):
                streams.append(gateway.stream(chat(f'Number {i}', seed=i, max_tokens=200, **TALKATIVE),
                                              receive_bytes=4096))
            gateway.wait_for_metric('active_requests', count)
            generated = [0]

            def settled():
                """The sequences that have begun are all held back by their readers: nothing grows any more."""
                now = gateway.metric('inter_token_seconds_count')
                same, generated[0] = now == generated[0], now
                return same and now > 0 and gateway.metric('time_to_first_token_seconds_count') >= count

            wait_for(settled, 'all streams have begun and are full', 2 * DEADLINE_S)
            each = (rss_bytes(gateway.pid) - before) / count
            report(f'a stalled stream costs the gateway {each / 1024:.1f} KiB')
            self.assertLess(each, 64 << 10)
            self.assertTrue(gateway.ask(max_tokens=2), 'one more is served beside them')

    def test_a_parked_request(self):
        count = 1000
        config = f"""
models: [{{name: {MODEL}, weights: bundled, park: {{requests: {count + 16}}}}}]
providers: [{{local: {{launch_delay: 1h}}}}]
"""
        with Gateway(config) as gateway:
            streams = []
            self.addCleanup(lambda: [stream.close() for stream in streams])

            def park(upto):
                while len(streams) < upto:
                    # Half of them have begun as streams, and are told how far the wake is.
                    progress = 'now' if len(streams) % 2 else 'never'
                    streams.append(gateway.stream(chat(f'Number {len(streams)}'), headers={'x-wake-progress': progress}))
                gateway.wait_for_metric('parked_requests', upto)

            park(16)  # threads and buffers that the first ones need
            before = rss_bytes(gateway.pid)
            park(count)
            for stream in streams[1::2]:
                stream.read_head()
            each = (rss_bytes(gateway.pid) - before) / (count - 16)
            report(f'a parked request costs the gateway {each / 1024:.1f} KiB')
            self.assertLess(each, (16 << 10) + len(json.dumps(chat('Number 1234'))))


if __name__ == '__main__':
    unittest.main()
