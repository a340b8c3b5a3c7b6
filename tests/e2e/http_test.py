"""What goes over the wire, byte by byte: statuses, headers, server-sent events, and the routes that never wake a model."""

import http.client
import json
import re
import socket
import ssl
import subprocess
import unittest

from tests.e2e.harness import DEADLINE_S, MODEL, Gateway, chat, parse_events, runfile, text_of, wait_for

ADMIN_KEY = 'an-admin-key-for-tests'
CHAT = '/v1/chat/completions'


class AtRest(unittest.TestCase):
    """Nothing here may wake the model: the class ends by looking for an engine."""

    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(config='admin_key_env: E2E_ADMIN_KEY\nlimits: {body_bytes: 64KiB}\n',
                              env={'E2E_ADMIN_KEY': ADMIN_KEY})
        cls.addClassCleanup(cls.gateway.close)
        cls.gateway.start()

    def tearDown(self):
        self.assertEqual(self.gateway.engine_pids(), [])
        self.assertEqual(self.gateway.metric('parked_requests', model=MODEL), 0)

    def error(self, status, code, method, path, body=None, headers=None):
        """Asserts the one form of errors; gives its message and the headers."""
        got, response_headers, data = self.gateway.request(method, path, body, headers)
        error = json.loads(data)
        self.assertEqual((got, error['error']['code']), (status, code), data)
        self.assertEqual(list(error), ['error'])
        self.assertEqual(set(error['error']), {'message', 'type', 'param', 'code'})
        self.assertEqual(response_headers['content-type'], 'application/json')
        self.assertRegex(response_headers['x-request-id'], r'^req_[0-9a-z]+$')
        return error['error'], response_headers

    def test_health_and_ready_need_no_key(self):
        for path in '/health', '/ready':
            status, headers, body = self.gateway.request('GET', path, headers={'authorization': None})
            self.assertEqual((status, json.loads(body)), (200, {'status': 'ok'}))
            self.assertIn('x-request-id', headers)

    def test_metrics(self):
        status, headers, body = self.gateway.request('GET', '/metrics', headers={'authorization': None})
        self.assertEqual(status, 200)
        self.assertTrue(headers['content-type'].startswith('text/plain; version=0.0.4'))
        self.assertIn(f'spotinference_active_requests{{model="{MODEL}"}} 0\n', body.decode())

    def test_models(self):
        status, headers, body = self.gateway.request('GET', '/v1/models')
        self.assertEqual(status, 200)
        models = json.loads(body)
        self.assertEqual((models['object'], [m['id'] for m in models['data']]), ('list', [MODEL]))
        self.assertRegex(headers['openai-processing-ms'], r'^\d+$')
        self.assertRegex(headers['openai-version'], r'^\d{4}-\d\d-\d\d$')
        status, _, body = self.gateway.request('GET', f'/v1/models/{MODEL}')
        self.assertEqual((status, json.loads(body)), (200, models['data'][0]))
        self.error(404, 'model_not_found', 'GET', '/v1/models/gpt-4')

    def test_unknown_route_and_method(self):
        self.error(404, 'unknown_url', 'POST', '/v1/embeddings', {'model': MODEL, 'input': 'x'})
        self.error(404, 'unknown_url', 'GET', '/v1/responses/1')
        self.error(404, 'unknown_url', 'GET', '/nothing')
        _, headers = self.error(405, 'method_not_supported', 'GET', CHAT)
        self.assertEqual(headers['allow'], 'POST')
        self.error(405, 'method_not_supported', 'DELETE', '/v1/models')

    def test_keys(self):
        for authorization in None, 'Bearer sk-wrong', f'Basic {self.gateway.key}', 'Bearer ':
            _, headers = self.error(401, 'invalid_api_key', 'POST', CHAT, chat(), {'authorization': authorization})
            self.assertEqual(headers['www-authenticate'], 'Bearer')
        self.error(401, 'invalid_api_key', 'GET', '/v1/models', headers={'authorization': None})
        # A client that waits for leave to send its body hears of its wrong key at once.
        self.error(401, 'invalid_api_key', 'POST', CHAT, chat(), {'authorization': None, 'expect': '100-continue'})

    def test_admin(self):
        admin = {'authorization': f'Bearer {ADMIN_KEY}'}
        status, _, body = self.gateway.request('GET', '/admin/v1/machines', headers=admin)
        self.assertEqual((status, json.loads(body)), (200, {'machines': []}))
        self.error(403, 'forbidden', 'GET', '/admin/v1/machines')
        self.error(401, 'invalid_api_key', 'GET', '/admin/v1/machines', headers={'authorization': None})
        self.error(401, 'invalid_api_key', 'GET', '/v1/models', headers=admin)

    def test_bad_requests(self):
        rows = [
            ({**chat(), 'temprature': 1}, 'temprature', None),
            ({**chat(), 'tools': [{'type': 'function', 'function': {'name': 'f'}}]}, 'tools', None),
            ({**chat(), 'response_format': {'type': 'yaml'}}, 'response_format.type', None),
            ({**chat(), 'temperature': 'hot'}, 'temperature', None),
            ({**chat(), 'temperature': 3}, 'temperature', None),
            ({**chat(), 'max_tokens': 0}, 'max_tokens', None),
            ({**chat(), 'n': 0}, 'n', None),
            ({**chat(), 'stop': ['a', 'b', 'c', 'd', 'e']}, 'stop', None),
            ({**chat(), 'stream_options': {'include_usage': True}}, 'stream_options', None),
            ({**chat(), 'logit_bias': {'100000000': 1}}, 'logit_bias', None),
            ({'model': MODEL}, 'messages', None),
            ({'messages': chat()['messages']}, 'model', None),
            ({**chat(), 'messages': []}, 'messages', None),
            ({**chat(), 'messages': [{'role': 'wizard', 'content': 'x'}]}, 'messages[0].role', None),
            ({**chat(), 'max_tokens': 1_000_000}, 'max_tokens', 'context_length_exceeded'),
            (chat('word ' * 9000), 'messages', 'context_length_exceeded'),
        ]
        for body, param, code in rows:
            with self.subTest(param=param):
                status, _, answer = self.gateway.post(CHAT, body)
                error = answer['error']
                self.assertEqual((status, error['type'], error['param']), (400, 'invalid_request_error', param), error)
                self.assertIn(param.split('.')[-1], str(error), 'the message names the field')
                if code:
                    self.assertEqual(error['code'], code)

    def test_what_asks_for_nothing_is_no_error(self):
        # Refused for its length only, after all fields have been read.
        body = {**chat('word ' * 9000), 'tools': [], 'tool_choice': 'none', 'store': False, 'n': 1, 'user': 'u',
                'response_format': {'type': 'text'}, 'metadata': {'a': 'b'}}
        self.error(400, 'context_length_exceeded', 'POST', CHAT, body)

    def test_bodies_that_are_no_json(self):
        for body in b'', b'{', b'[]', b'null', b'{"model":"\xff"}', b'[' * 50000, b'{"a":1}x':
            status, _, answer = self.gateway.request('POST', CHAT, body)
            self.assertEqual(status, 400, body[:20])
            self.assertEqual(json.loads(answer)['error']['type'], 'invalid_request_error')

    def test_unknown_model(self):
        error, _ = self.error(404, 'model_not_found', 'POST', CHAT, {**chat(), 'model': 'gpt-4'})
        self.assertEqual(error['param'], 'model')
        self.assertIn('gpt-4', error['message'])

    def test_limits(self):
        self.error(413, 'request_too_large', 'POST', CHAT, b' ' * 65537)
        got, _, _ = self.gateway.request('GET', '/v1/models', headers={'x-long': 'x' * 70000})
        self.assertEqual(got, 431)

    def test_garbage(self):
        with socket.create_connection(('127.0.0.1', self.gateway.port), DEADLINE_S) as client:
            client.sendall(b'\x16\x03\x01 this is no HTTP\r\n\r\n')
            answer = b''
            while data := client.recv(65536):
                answer += data
        self.assertTrue(answer.startswith(b'HTTP/1.1 400 '), answer)

    def test_keep_alive_and_pipelining(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.gateway.port, timeout=DEADLINE_S)
        self.addCleanup(connection.close)
        ids = set()
        for method, path, status in [('GET', '/v1/models', 200), ('POST', CHAT, 400), ('GET', '/nothing', 404)] * 3:
            connection.request(method, path, b'{}' if method == 'POST' else None, self.gateway.headers())
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, status)
            self.assertFalse(response.will_close)
            ids.add(response.headers['x-request-id'])
        self.assertEqual(len(ids), 9)
        with socket.create_connection(('127.0.0.1', self.gateway.port), DEADLINE_S) as client:
            client.sendall(b'GET /health HTTP/1.1\r\nhost: x\r\n\r\n' * 5 + b'GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
            answer = b''
            while data := client.recv(65536):
                answer += data
        self.assertEqual(answer.count(b'HTTP/1.1 200 '), 6)


class Awake(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(config='admin_key_env: E2E_ADMIN_KEY\n', env={'E2E_ADMIN_KEY': ADMIN_KEY})
        cls.addClassCleanup(cls.gateway.close)
        cls.gateway.start()

    def test_chat_stream(self):
        body = chat(max_tokens=8, temperature=0, stream_options={'include_usage': True})
        with self.gateway.stream(body) as stream:
            self.assertEqual(stream.read_head(), 200)
            headers = dict(stream.headers)
            text = stream.read_all().decode()
        self.assertEqual(headers['content-type'], 'text/event-stream; charset=utf-8')
        self.assertEqual(headers['cache-control'], 'no-cache')
        self.assertEqual(headers['x-accel-buffering'], 'no')
        self.assertEqual(headers['transfer-encoding'], 'chunked')
        self.assertRegex(headers['openai-processing-ms'], r'^\d+$')
        self.assertRegex(headers['x-request-id'], r'^req_[0-9a-z]+$')
        # Only data lines, each with one empty line after it: what every client understands.
        self.assertRegex(text, r'\A(data: [^\n]+\n\n)+\Z')
        self.assertTrue(text.endswith('data: [DONE]\n\n'))
        *chunks, usage, done = parse_events(text.encode())
        self.assertEqual(done, '[DONE]')
        for chunk in chunks:
            self.assertEqual((chunk['object'], chunk['model'], chunk['id']), ('chat.completion.chunk', MODEL, chunks[0]['id']))
            self.assertIsNone(chunk['usage'])
            self.assertEqual(len(chunk['choices']), 1)
        self.assertEqual(chunks[0]['choices'][0]['delta'], {'role': 'assistant', 'content': '', 'refusal': None})
        self.assertEqual(chunks[-1]['choices'][0], {'index': 0, 'delta': {}, 'logprobs': None, 'finish_reason': 'length'})
        self.assertEqual(usage['choices'], [])
        self.assertEqual(usage['usage']['completion_tokens'], 8)
        self.assertEqual(usage['usage']['total_tokens'], usage['usage']['prompt_tokens'] + 8)

        status, whole_headers, whole = self.gateway.post(CHAT, chat(max_tokens=8, temperature=0))
        self.assertEqual((status, whole['object'], whole_headers['content-type']), (200, 'chat.completion', 'application/json'))
        message = whole['choices'][0]['message']
        self.assertEqual((message['role'], message['content']), ('assistant', text_of(chunks)))
        self.assertIsNone(message['refusal'])
        self.assertTrue(whole['id'].startswith('chatcmpl-') and whole['system_fingerprint'])

    def test_usage_is_not_there_unless_asked_for(self):
        with self.gateway.stream(chat(max_tokens=2)) as stream:
            self.assertNotIn(b'usage', stream.read_all())

    def test_completion_stream(self):
        body = {'model': MODEL, 'prompt': 'Once upon a time', 'max_tokens': 5, 'temperature': 0}
        with self.gateway.stream(body, '/v1/completions') as stream:
            *chunks, done = parse_events(stream.read_all())
        self.assertEqual(done, '[DONE]')
        status, _, whole = self.gateway.post('/v1/completions', body)
        self.assertEqual((status, whole['object']), (200, 'text_completion'))
        self.assertEqual(whole['choices'][0]['text'], ''.join(chunk['choices'][0]['text'] for chunk in chunks))
        self.assertEqual(chunks[-1]['choices'][0]['finish_reason'], 'length')

    def test_http_1_0_has_no_chunks(self):
        body = json.dumps({**chat(max_tokens=3), 'stream': True}).encode()
        with socket.create_connection(('127.0.0.1', self.gateway.port), DEADLINE_S) as client:
            client.sendall(f'POST {CHAT} HTTP/1.0\r\nauthorization: Bearer {self.gateway.key}\r\n'
                           f'content-length: {len(body)}\r\n\r\n'.encode() + body)
            answer = b''
            while data := client.recv(65536):
                answer += data
        head, _, events = answer.partition(b'\r\n\r\n')
        self.assertNotIn(b'chunked', head.lower())
        self.assertTrue(events.startswith(b'data: {') and events.endswith(b'data: [DONE]\n\n'), events)

    def test_machines_and_metrics(self):
        before = self.gateway.metric('tokens_total', kind='generated')
        self.gateway.ask(max_tokens=3)
        _, _, body = self.gateway.request('GET', '/admin/v1/machines', headers={'authorization': f'Bearer {ADMIN_KEY}'})
        (machine,) = json.loads(body)['machines']
        self.assertEqual((machine['model'], machine['state'], machine['provider']), (MODEL, 'serving', 'local'))
        self.assertTrue(machine['numerics_id'])
        self.assertEqual(self.gateway.metric('tokens_total', kind='generated') - before, 3)
        self.assertEqual(self.gateway.metric('machines', state='serving'), 1)
        self.assertGreater(self.gateway.metric('requests_total', model=MODEL, code='200'), 0)
        self.assertGreater(self.gateway.metric('time_to_first_token_seconds_count'), 0)
        self.assertEqual(self.gateway.metric('wake_seconds_count', stage='total'), 1)
        # The engine's own figures come with its first heartbeat.
        self.gateway.wait_for_metric('programs_compiled_total', 1, model=MODEL)
        self.assertGreater(self.gateway.metric('weights_bytes', model=MODEL), 90e6)

    def test_logs_have_neither_prompts_nor_keys(self):
        prompt = 'xylophone quagmire'
        self.gateway.ask(prompt, max_tokens=2)
        self.gateway.post(CHAT, {**chat(prompt), 'nonsense_field': prompt})
        self.gateway.post(CHAT, chat(prompt), {'authorization': 'Bearer sk-a-wrong-secret'})
        logs = self.gateway.logs()
        self.assertEqual(len(logs), 2, 'the gateway and its engine')
        for text in logs.values():
            for secret in ('xylophone', self.gateway.key, 'sk-a-wrong-secret', ADMIN_KEY):
                self.assertNotIn(secret, text)
        status, headers, _ = self.gateway.request('GET', '/v1/models')
        self.assertEqual(status, 200)
        def lines():
            return self.gateway.log().count(f"id={headers['x-request-id']} ")
        wait_for(lambda: lines() > 0, 'the request is in the log')  # it is written when the answer has gone out
        self.assertEqual(lines(), 1, 'one line a request')


class Tls(unittest.TestCase):
    def test_certificate_of_the_configuration(self):
        gateway = Gateway()
        self.addCleanup(gateway.close)
        cert, key = (f'{gateway.data_dir}/{name}.pem' for name in ('cert', 'key'))
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                        '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost',
                        '-addext', 'subjectAltName=IP:127.0.0.1'], check=True, capture_output=True)
        gateway.config = f'tls: {{cert: {cert}, key: {key}}}\n'
        gateway.start()
        self.assertEqual(gateway.scheme, 'https')
        connection = http.client.HTTPSConnection('127.0.0.1', gateway.port, timeout=DEADLINE_S,
                                                 context=ssl.create_default_context(cafile=cert))
        self.addCleanup(connection.close)
        connection.request('POST', CHAT, json.dumps({**chat(max_tokens=3), 'stream': True}), gateway.headers())
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertTrue(response.read().endswith(b'data: [DONE]\n\n'))
        with socket.create_connection(('127.0.0.1', gateway.port), DEADLINE_S) as client:
            client.sendall(b'GET /health HTTP/1.1\r\nhost: x\r\n\r\n')
            try:
                self.assertNotIn(b'HTTP', client.recv(65536), 'plain HTTP is no way in')
            except ConnectionResetError:
                pass


class Start(unittest.TestCase):
    """What the command line and the configuration say at start."""

    def failed_start(self, config):
        gateway = Gateway(config=config)
        self.addCleanup(gateway.close)
        done = subprocess.run(gateway.command(), env={'HOME': gateway.data_dir}, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        return done.returncode, done.stderr

    def test_a_configuration_with_an_error_is_refused_with_its_line(self):
        status, stderr = self.failed_start('listen: 127.0.0.1:0\nmodles: []\n')
        self.assertEqual(status, 2)
        self.assertRegex(stderr, r'config\.yaml:2: modles: ')

    def test_the_key_of_the_first_start_stays_good(self):
        with Gateway() as gateway:
            key = gateway.key
            self.assertRegex(key, r'^sk-')
            with open(f'{gateway.data_dir}/keys.json', encoding='utf-8') as file:
                self.assertNotIn(key[3:], file.read(), 'stored hashed')
            self.assertEqual(gateway.terminate(), 0)
            gateway.start()
            self.assertNotIn(key, gateway.welcome)
            self.assertEqual(gateway.request('GET', '/v1/models')[0], 200)

    def test_keys_of_the_configuration(self):
        with Gateway('keys: [{name: laptop, key_env: E2E_KEY}]\n', env={'E2E_KEY': 'a-key-of-my-own-0123456789'}) as gateway:
            self.assertIsNone(gateway.key)
            self.assertEqual(gateway.request('GET', '/v1/models')[0], 401)
            gateway.key = 'a-key-of-my-own-0123456789'
            self.assertEqual(gateway.request('GET', '/v1/models')[0], 200)
            self.assertNotIn(gateway.key, gateway.welcome + gateway.log())

    def test_help(self):
        done = subprocess.run([runfile('gateway/main'), '--help'], capture_output=True, text=True, timeout=DEADLINE_S,
                              check=False)
        for flag in '--config', '--listen', '--data_dir':
            self.assertTrue(re.search(rf'{flag}\b', done.stdout), done.stdout)


if __name__ == '__main__':
    unittest.main()
