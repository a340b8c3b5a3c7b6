"""An admin takes machines away over HTTP, and what of it is seen: by a client, in /admin/v1, in /metrics and in the log."""

import json
import os
import re
import signal
import unittest

from tests.e2e.harness import LONGEST, MODEL, TALKATIVE, Broken, Gateway, chat, in_parallel, text_of, wait_for

ADMIN_KEY = 'an-admin-key-for-tests'
CHAT = '/v1/chat/completions'
# Some 130 of its tokens lie on the way to a client with a small buffer: while that does not read, it is not over.
BODY = chat(**TALKATIVE, max_tokens=300, temperature=0.8, seed=11)
SMALL_BUFFER = 4096
FIRST, SECOND = f'{MODEL}-1', f'{MODEL}-2'


class InterruptionTest(unittest.TestCase):
    def setUp(self):
        self.gateway = Gateway('admin_key_env: E2E_ADMIN_KEY\n', env={'E2E_ADMIN_KEY': ADMIN_KEY})
        self.addCleanup(self.gateway.close)
        self.gateway.start()

    def admin(self, method, path, body=None):
        status, _, answer = self.gateway.request(method, f'/admin/v1/{path}', body, {'authorization': f'Bearer {ADMIN_KEY}'})
        return status, json.loads(answer)

    def order(self, path, body=None):
        self.assertEqual(self.admin('POST', path, body), (202, {}))

    def refused(self, path):
        status, answer = self.admin('POST', path)
        return status, answer['error']['code']

    def states(self):
        return {machine['id']: machine['state'] for machine in self.admin('GET', 'machines')[1]['machines']}

    def wait_for_state(self, machine, state):
        wait_for(lambda: self.states().get(machine) == state, f'{machine} is {state}; {self.states()}')

    def test_a_notice_with_a_stream_on_the_machine(self):
        self.order(f'models/{MODEL}:wake')
        self.wait_for_state(FIRST, 'serving')  # nobody has asked for anything yet
        _, _, undisturbed = self.gateway.post(CHAT, BODY)
        with self.gateway.stream(BODY, receive_bytes=SMALL_BUFFER) as stream:
            stream.read_text(5)
            self.order(f'machines/{FIRST}:interrupt', {'notice_seconds': 6})
            self.assertEqual(self.states()[FIRST], 'draining')
            stream.read_all()
            self.assertEqual(text_of(stream.events()), undisturbed['choices'][0]['message']['content'])
        self.assertEqual(self.states()[SECOND], 'serving')
        wait_for(lambda: FIRST not in self.states(), 'the first machine is gone')
        self.assertEqual(self.gateway.metric('stream_resumes_total', reason='notice', exact='true'), 1)
        self.assertEqual(self.gateway.metric('interruptions_total', noticed='true'), 1)
        self.assertEqual(self.gateway.metric('interruptions_total'), 1)

        # Its whole life in the log, under one id.
        def told():
            return re.findall(r'\] (interruption \S+): (.*)', self.gateway.log())

        wait_for(lambda: any(re.match(f'{FIRST} is gone', what) for _, what in told()), 'its end is told')
        ids, words = zip(*told())
        self.assertEqual(set(ids), {ids[0]})
        self.assertTrue(ids[0].startswith(f'interruption {FIRST}/'), ids[0])
        once = ['a notice, 1 answers on it: an admin.s order, in 6s', f'{FIRST} is draining: .*an admin.s order',
                f'{SECOND} is to take its place', 'its engine handed 1 sequences over',
                'no answer is on it any more, .* after the first word',
                f'{SECOND} serves in its place, .* after the first word', f'{FIRST} is gone.*']
        for what in once:
            self.assertEqual(sum(bool(re.fullmatch(what, word)) for word in words), 1, f'{what}: {words}')
        states = f'{FIRST} is terminating.*|{SECOND} is (launching|booting|serving).*'
        for word in words:
            self.assertTrue(re.fullmatch('|'.join([states] + once), word), word)

    def test_a_long_notice_is_served_through(self):
        with self.gateway.stream(chat(logit_bias=LONGEST, max_tokens=2000)) as stream:
            stream.read_text(5)
            self.order(f'machines/{FIRST}:interrupt', {'notice_seconds': 3600})
            while self.gateway.metric('stream_resumes_total', reason='notice') == 0:
                self.assertTrue(stream.read_chunk(), 'it ended before another machine served')
        what = f'{SECOND} serves in its place', 'its engine handed 1 sequences over'

        def told():
            words = re.findall(r'\] interruption \S+: (.*)', self.gateway.log())
            return [next((i for i, word in enumerate(words) if this in word), None) for this in what]

        # The engine's word that it has is on its way while the answer goes on already.
        wait_for(lambda: None not in told(), f'the log tells of {what}')
        serves, handed = told()
        self.assertLess(serves, handed)

    def test_hibernate_wake_and_kill(self):
        self.gateway.ask()
        self.order(f'machines/{FIRST}:hibernate')
        self.wait_for_state(FIRST, 'hibernated')
        self.assertEqual(self.gateway.engine_pids(), [])
        self.assertEqual(self.refused(f'machines/{FIRST}:interrupt'), (409, 'wrong_state'))
        self.order(f'models/{MODEL}:wake')
        self.wait_for_state(FIRST, 'serving')
        self.assertEqual(self.gateway.metric('interruptions_total'), 0)
        self.order(f'machines/{FIRST}:kill')
        wait_for(lambda: FIRST not in self.states(), 'it is gone')
        self.assertEqual(self.gateway.metric('interruptions_total', noticed='false'), 1)
        self.assertEqual(self.refused(f'machines/{FIRST}:kill'), (404, 'machine_not_found'))
        self.assertEqual(self.refused('models/another:wake'), (404, 'model_not_found'))
        self.assertTrue(self.gateway.ask())

    def test_a_request_that_crashes_engines_is_refused_and_its_neighbour_goes_on(self):
        _, _, undisturbed = self.gateway.post(CHAT, BODY)
        with (self.gateway.stream(chat(logit_bias=LONGEST, max_tokens=8000)) as poison,
              self.gateway.stream(BODY, receive_bytes=SMALL_BUFFER) as neighbour):

            def read_poison():
                try:
                    poison.read_all()
                except Broken:
                    pass

            def crash():
                neighbour.read_text(2)
                os.kill(self.gateway.engine_pid(), signal.SIGSEGV)  # with both on it
                neighbour.read_all()
                for resumes in 2, 3:  # so many by then: it is there again, the second time alone
                    self.gateway.wait_for_metric('stream_resumes_total', resumes)
                    os.kill(self.gateway.engine_pid(), signal.SIGSEGV)

            poison.read_text(2)
            in_parallel([read_poison, crash])
            self.assertEqual(text_of(neighbour.events()), undisturbed['choices'][0]['message']['content'])
            self.assertEqual(poison.events()[-1]['error']['code'], 'engine_crashed')
        self.assertIn('runs alone on', self.gateway.log())
        self.assertTrue(self.gateway.ask())

    def test_an_order_outlives_the_gateway(self):
        self.gateway.ask()
        engine = self.gateway.engine_pid()
        self.order(f'machines/{FIRST}:interrupt', {'notice_seconds': 3600})
        self.gateway.kill()
        self.gateway.start()
        self.assertNotEqual(self.states().get(FIRST), 'serving')
        self.gateway.wait_for_no_engine('after the interruption')
        self.assertTrue(self.gateway.ask())
        self.assertNotEqual(self.gateway.engine_pid(), engine)


if __name__ == '__main__':
    unittest.main()
