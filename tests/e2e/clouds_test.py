"""The gateway with a cloud as its provider, emulated: real engines as its machines, the real model, streams that go on.

clouds_test.py MODEL.gguf [TEST...]
"""

import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

from tests.e2e.fake_hub import FakeHub
from tests.e2e.harness import (DEADLINE_S, MODEL, TALKATIVE, Gateway, chat, in_parallel, report, runfile, text_of,
                               wait_for)

ADMIN_KEY = 'an-admin-key-for-tests'
HYPERSTACK_KEY = 'a-hyperstack-key-for-tests'
# Some 130 tokens lie on the way to a client with a small buffer: while that does not read, no answer is over.
BODY = chat(**TALKATIVE, max_tokens=300, temperature=0.8, seed=11)
SMALL_BUFFER = 4096


def sha256(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


class Emulator:
    """The program, with machines in a folder of its own."""

    def __init__(self, env):
        self.dir = tempfile.mkdtemp(prefix='clouds.', dir=os.environ['TEST_TMPDIR'])
        self.process = subprocess.Popen([runfile('fleet/providers/emulator/main'), f'--dir={self.dir}'],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **env})
        self.url = self.process.stdout.readline().strip()

    def say(self, command):
        self.process.stdin.write(command + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != 'ok':
            raise AssertionError(f'{command}: {answer}')

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.url[len('http://'):], timeout=DEADLINE_S)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers or {})
            response = connection.getresponse()
            answer = json.load(response)
            if response.status != 200:
                raise AssertionError(f'{method} {path}: {response.status}: {answer}')
            return answer
        finally:
            connection.close()

    def happened(self):
        return self.ask('GET', '/emulator/happened')['happened']

    def machines(self, *states):
        rows = self.ask('GET', '/emulator/machines')['machines']
        return [row for row in rows if not states or row['state'] in states]

    def there(self):
        """The names of all machines and volumes that are not gone."""
        rows = self.ask('GET', '/emulator/machines')
        return sorted(row['name'] for row in rows['machines'] + rows['volumes'] if row.get('state') != 'gone')

    def identity(self, machine):
        """The folder of a machine's key and certificate."""
        return os.path.join(self.dir, 'machines', str(machine['number']), 'var/lib/spotinference/identity')

    def logs(self):
        text = ''
        for folder, _, files in os.walk(os.path.join(self.dir, 'machines')):
            for name in files:
                if name == 'log' or name.endswith('.log'):
                    with open(os.path.join(folder, name), encoding='utf-8', errors='replace') as file:
                        text += file.read()
        return text

    def close(self):
        """Its end ends its machines."""
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()


CLOUDS = {
    'hyperstack': 'key_name: laptop, endpoint: "{url}/v1"',
    'aws': 'regions: [{{name: us-east-1, image: ami-1}}], instance_types: [g6.xlarge], markets: [spot], '
           'endpoint: "{url}", pricing_endpoint: "{url}"',
    'gcp': 'project: p, zones: [us-central1-a, us-central1-b{more}], machine_types: [g2-standard-4], markets: [spot], '
           'endpoint: "{url}", billing_endpoint: "{url}"',
    'azure': 'subscription: s, resource_group: g, location: eastus, subnet: n, ssh_public_key: k, '
             'zones: ["1", "2"{more}], vm_sizes: [Standard_NC4as_T4_v3], markets: [spot], endpoint: "{url}", '
             'login: "{url}", prices: "{url}"',
}
# How the cloud takes a spot machine away: after so many seconds, for good or to be started again.
RECLAIMS = {'aws': '120 gone', 'gcp': '30 stopped', 'azure': '30 stopped'}

# A third zone, which is taken last: as the configuration names it, and in the emulator's words; the ends of the others.
THIRD_ZONES = {
    'aws': ('', 'sell aws us-east-1 us-east-1c g6.xlarge L4 1 0.8048 0.45 4', 'ab'),
    'gcp': (', us-central1-c', 'sell gcp us-central1 us-central1-c g2-standard-4 nvidia-l4 1 0.7068 0.28 4', 'ab'),
    'azure': (', "3"', 'sell azure eastus eastus-3 Standard_NC4as_T4_v3 T4 1 0.526 0.16 4', '12'),
}

# Seeds, and so many misfortunes by them (fleet/providers/emulator/misfortune.h): what befalls machines and their
# metadata services, and nothing that takes a whole cloud away for minutes.
MISFORTUNES = {'hyperstack': (4053, 6), 'aws': (1879, 8), 'gcp': (849, 8), 'azure': (5168, 8)}


class CloudsTest(unittest.TestCase):
    answer = None  # to BODY, of any machine

    def begin(self, cloud, spend=100, flags=(), third_zone=False):
        self.hub = self.enterContext(FakeHub({'model.gguf': GGUF}))
        google = os.path.join(os.environ['TEST_TMPDIR'], 'google_credentials.json')
        environment = {'HF_ENDPOINT': self.hub.url, 'HF_TOKEN': self.hub.token, 'E2E_ADMIN_KEY': ADMIN_KEY,
                       'HYPERSTACK_API_KEY': HYPERSTACK_KEY,
                       'AWS_ACCESS_KEY_ID': 'AKIDEMULATOR', 'AWS_SECRET_ACCESS_KEY': 'emulated',
                       'AZURE_TENANT_ID': 't', 'AZURE_CLIENT_ID': 'c', 'AZURE_CLIENT_SECRET': 'emulated',
                       'GOOGLE_APPLICATION_CREDENTIALS': google}
        self.emulator = Emulator(environment)
        self.addCleanup(self.emulator.close)
        with open(google, 'w', encoding='utf-8') as file:
            json.dump({'type': 'authorized_user', 'client_id': 'c', 'client_secret': 's', 'refresh_token': 'emulated',
                       'token_uri': f'{self.emulator.url}/token'}, file)
        engine = runfile('engine/server/main')
        more, sell, _ = THIRD_ZONES[cloud] if third_zone else ('', '', '')
        if sell:
            self.emulator.say(sell)
        options = CLOUDS[cloud].format(url=self.emulator.url, more=more)
        config = (f'admin_key_env: E2E_ADMIN_KEY\n'
                  f'models: [{{name: {MODEL}, weights: "hf://org/repo/model.gguf@main", backend: cpu}}]\n'
                  f'spend: {{max_dollars_per_day: {spend}}}\n'
                  f'providers: [{{{cloud}: {{engine: {{url: "file://{engine}", sha256: {sha256(engine)}}}, '
                  f'{options}}}}}]\n')
        self.gateway = Gateway(config, env=environment)
        self.gateway.flags = list(flags)
        self.addCleanup(self.end, self.gateway, self.emulator)
        self.gateway.start()

    def end(self, gateway=None, emulator=None):
        """At once: what a gateway does at its end takes its time."""
        gateway, emulator = gateway or self.gateway, emulator or self.emulator
        gateway.kill()
        log = gateway.log() + emulator.logs() if os.path.exists(gateway.log_path) else ''
        for secret in (ADMIN_KEY, HYPERSTACK_KEY, self.hub.token, gateway.key):
            self.assertFalse(secret and secret in log, f'{secret} is in a log')
        gateway.close()
        emulator.close()

    def order(self, path, body=None):
        headers = {'authorization': f'Bearer {ADMIN_KEY}'}
        status, _, answer = self.gateway.request('POST', f'/admin/v1/{path}', body, headers)
        self.assertEqual(status, 202, answer)

    def states(self):
        headers = {'authorization': f'Bearer {ADMIN_KEY}'}
        machines = json.loads(self.gateway.request('GET', '/admin/v1/machines', None, headers)[2])['machines']
        return {machine['id']: machine['state'] for machine in machines}

    def decisions(self):
        headers = {'authorization': f'Bearer {ADMIN_KEY}'}
        return json.loads(self.gateway.request('GET', '/admin/v1/decisions', None, headers)[2])['decisions']

    def wait_for_state(self, machine, state):
        wait_for(lambda: self.states().get(machine) == state, f'{machine} is {state}')

    def wait_until_taken(self, machine):
        """The first one: of the cloud it is no more, and the gateway knows."""
        wait_for(lambda: machine['number'] in [row['number'] for row in self.emulator.machines('gone')],
                 'it is taken away, and nothing is left of it')
        wait_for(lambda: f'{MODEL}-1' not in self.states(), 'the gateway has dropped it')

    def ask(self):
        _, _, answer = self.gateway.post('/v1/chat/completions', BODY)
        return answer['choices'][0]['message']['content']

    def wake(self):
        """The machine that serves, and what it answers to BODY, which the first one of all was asked."""
        if CloudsTest.answer is None:
            CloudsTest.answer = self.ask()
        else:
            self.gateway.ask()
        machine, = self.emulator.machines('running')
        return machine, CloudsTest.answer

    def test_a_stream_survives_hibernation(self):
        self.begin('hyperstack')
        machine, expected = self.wake()
        with self.gateway.stream(BODY, receive_bytes=SMALL_BUFFER) as stream:
            stream.read_text(5)
            for zone in ('default-CANADA-1', 'default-NORWAY-1'):  # what is left is the place of the one that goes
                self.emulator.say(f'stock hyperstack {zone} n3-L40x1 0')
            self.order(f'machines/{MODEL}-1:hibernate')
            stream.read_all()
            self.assertEqual(text_of(stream.events()), expected)
        self.assertEqual(self.gateway.metric('stream_resumes_total', exact='true'), 1)
        served = re.findall(r'\] (.*) is serving\n', self.gateway.log())
        self.assertEqual(served, [f'{MODEL}-1'] * 2, 'before and after')
        self.assertEqual([row['number'] for row in self.emulator.machines()], [machine['number']],
                         'it was restored, and no other was ever bought')

    def test_hyperstack_hibernates_and_restores(self):
        self.begin('hyperstack')
        _, expected = self.wake()
        self.order(f'machines/{MODEL}-1:hibernate')
        self.wait_for_state(f'{MODEL}-1', 'hibernated')
        self.assertEqual(self.emulator.machines('starting', 'running'), [], 'nothing bills')
        downloads = len(self.hub.ranges)
        self.assertEqual(self.ask(), expected)
        self.assertIn('is restoring', self.gateway.log())
        self.assertEqual(len(self.hub.ranges), downloads, 'weights are on the volume')
        self.assertEqual(len(self.emulator.machines()), 1, 'restored, not bought anew')

    def test_a_stream_survives_its_machine(self):
        for cloud, how in RECLAIMS.items():
            with self.subTest(cloud):
                self.begin(cloud)
                first, expected = self.wake()
                with self.gateway.stream(BODY, receive_bytes=SMALL_BUFFER) as stream:
                    stream.read_text(5)
                    self.emulator.say(f'take {first["number"]} {how}')
                    self.wait_for_state(f'{MODEL}-2', 'serving')
                    stream.read_all()
                    self.assertEqual(text_of(stream.events()), expected)
                self.assertEqual(self.states()[f'{MODEL}-2'], 'serving')
                self.assertEqual(self.gateway.metric('stream_resumes_total', reason='notice', exact='true'), 1)
                self.assertEqual(self.gateway.metric('interruptions_total', noticed='true'), 1)
                if cloud == 'aws':  # the rest of its two minutes has passed
                    self.emulator.say(f'take {first["number"]} 0 gone silent')
                self.wait_until_taken(first)
                self.assertEqual(self.states(), {f'{MODEL}-2': 'serving'})
                self.end()

    def test_a_stream_survives_its_machine_where_two_zones_have_none(self):
        for cloud, how in RECLAIMS.items():
            with self.subTest(cloud):
                self.begin(cloud, third_zone=True)
                first, expected = self.wake()
                third, others = THIRD_ZONES[cloud][1].split()[3], THIRD_ZONES[cloud][2]
                with self.gateway.stream(BODY, receive_bytes=SMALL_BUFFER) as stream:
                    stream.read_text(5)
                    for end in others:
                        self.emulator.say(f'stock {cloud} {third[:-1]}{end} {first["type"]} 0')
                    self.emulator.say(f'take {first["number"]} {how}')
                    self.wait_for_state(f'{MODEL}-3', 'serving')
                    stream.read_all()
                    self.assertEqual(text_of(stream.events()), expected)
                self.assertIn(f'{MODEL}-2 is gone while launching: ', self.gateway.log(), 'the second zone was asked')
                last, = [row for row in self.emulator.machines('running') if row['number'] != first['number']]
                self.assertNotEqual(first['zone'], third)
                self.assertEqual(last['zone'], third)
                self.assertEqual(self.gateway.metric('stream_resumes_total', reason='notice', exact='true'), 1)
                self.end()

    def test_a_stream_survives_a_machine_that_goes_without_a_word(self):
        self.begin('aws')
        first, expected = self.wake()
        with self.gateway.stream(BODY, receive_bytes=SMALL_BUFFER) as stream:
            stream.read_text(5)
            self.emulator.say(f'take {first["number"]} 0 gone silent')
            stream.read_all()
            self.assertEqual(text_of(stream.events()), expected)
        self.assertEqual(self.gateway.metric('stream_resumes_total', exact='true'), 1)
        self.assertEqual(self.gateway.metric('interruptions_total', noticed='false'), 1)
        self.wait_until_taken(first)
        self.assertEqual(self.states(), {f'{MODEL}-2': 'serving'})

    def answers_among_misfortunes(self, seed, count):
        """Of as many requests, one after the other, as so many misfortunes leave time for."""
        answers, over = [], threading.Event()

        def ask():
            while not over.is_set():
                answers.append(self.gateway.post('/v1/chat/completions', BODY))

        def bring():
            try:
                self.emulator.say(f'chaos {seed} 0 3600')
                wait_for(lambda: len(self.emulator.happened()) >= count, 'all misfortunes have come')
                report(f'{len(answers)} answers, and {", ".join(self.emulator.happened())}')
                self.emulator.say('chaos 0 0')  # what lasts would last for minutes
            finally:
                over.set()

        in_parallel([ask, bring])
        return answers

    def test_misfortunes_break_no_answer_and_leave_no_machine(self):
        for cloud, (seed, count) in MISFORTUNES.items():
            with self.subTest(cloud):
                self.begin(cloud)
                _, expected = self.wake()
                for status, _, answer in self.answers_among_misfortunes(seed, count):
                    if status == 200:
                        self.assertEqual(answer['choices'][0]['message']['content'], expected)
                    else:
                        self.assertEqual(status, 503, answer)
                        self.assertIn(MODEL, answer['error']['message'])
                wait_for(lambda: self.gateway.post('/v1/chat/completions', BODY)[0] == 200, 'it serves again')
                self.assertEqual(self.gateway.terminate(), 0)
                self.assertEqual(self.emulator.machines('starting', 'running', 'restoring', 'off', 'deleting'), [])
                self.end()

    def test_a_machine_at_risk_is_replaced_before_it_goes(self):
        self.begin('aws')
        first, expected = self.wake()
        with self.gateway.stream(BODY, receive_bytes=SMALL_BUFFER) as stream:
            stream.read_text(5)
            self.emulator.say(f'tell {first["number"]} aws rebalance')
            self.wait_for_state(f'{MODEL}-2', 'serving')
            stream.read_all()
            self.assertEqual(text_of(stream.events()), expected)
        wait_for(lambda: first['number'] not in [machine['number'] for machine in self.emulator.machines('running')],
                 'the first one is let go')

    def test_a_machine_is_known_and_speaks_to_its_gateway_alone(self):
        self.begin('aws')
        machine, expected = self.wake()
        identity = self.emulator.identity(machine)
        self.assertNotIn('token', os.listdir(identity), 'it is used up')
        self.assertEqual(os.stat(os.path.join(identity, 'key.pem')).st_mode & 0o777, 0o600)

        stranger = ssl.create_default_context(cafile=os.path.join(identity, 'authority.pem'))
        stranger.check_hostname = False
        stranger.set_alpn_protocols(['h2'])
        with socket.create_connection((machine['address'], 8500), DEADLINE_S) as connection:
            with stranger.wrap_socket(connection, server_hostname='machine.spotinference') as tls:
                name, = [text for kind, text in tls.getpeercert()['subjectAltName'] if kind == 'URI']
                self.assertRegex(name, f'^spotinference:machine/{MODEL}-1/[0-9a-f]{{16}}$')
                try:
                    said = tls.recv(1)  # HTTP/2's server speaks first
                except OSError:
                    said = b''
                self.assertEqual(said, b'', 'who shows no certificate hears nothing')

        self.gateway.kill()
        self.gateway.start()  # with another key, of the same authority
        self.assertEqual(self.ask(), expected)
        self.assertEqual(self.states(), {f'{MODEL}-1': 'serving'}, 'it was adopted')
        self.assertNotIn('BEGIN', self.gateway.log())

    def test_without_money_nothing_is_bought(self):
        self.begin('hyperstack', spend=0)
        status, _, answer = self.gateway.post('/v1/chat/completions', chat(max_tokens=1))
        self.assertEqual(status, 503, answer)
        self.assertIn('max_dollars_per_day', answer['error']['message'])
        self.assertEqual(self.emulator.machines(), [])

    def test_a_dry_run_shows_the_plan_also_without_money(self):
        for cloud in CLOUDS:
            with self.subTest(cloud):
                self.begin(cloud, spend=0, flags=['--dry_run'])
                for _ in range(3):
                    status, _, answer = self.gateway.post('/v1/chat/completions', chat(max_tokens=1))
                    self.assertEqual(status, 503, answer)
                    self.assertRegex(answer['error']['message'],
                                     f'--dry_run: would buy a machine, .* of {cloud} in .* at [0-9.]+ dollars an hour, .*'
                                     f'if spend.max_dollars_per_day were not 0')
                self.assertEqual(len(re.findall(f'--dry_run: would buy .*, for {MODEL}: ', self.gateway.log())), 1)
                self.assertEqual(self.decisions()[-1]['action'], 'would buy')
                self.gateway.terminate()
                self.assertEqual(self.emulator.machines(), [])
                self.end()

    def test_a_dry_run_leaves_machines_as_they_are(self):
        self.begin('aws')
        _, expected = self.wake()
        self.gateway.kill()
        self.gateway.flags = ['--dry_run']
        self.gateway.start()
        self.assertEqual(self.ask(), expected, 'its machine serves')
        status, _, answer = self.gateway.request('POST', f'/admin/v1/machines/{MODEL}-1:kill', None,
                                                 {'authorization': f'Bearer {ADMIN_KEY}'})
        self.assertEqual(status, 409, answer)
        self.gateway.terminate()
        self.assertIn(f'--dry_run: would stop {MODEL}-1, which costs', self.gateway.log())
        self.assertEqual(len(self.emulator.machines('running')), 1)
        self.gateway.flags = []
        self.gateway.start()
        self.assertEqual(self.ask(), expected)
        self.assertEqual(self.states(), {f'{MODEL}-1': 'serving'}, 'its key is known still')

    def delete_all(self, *flags, **env):
        """Exit status, lines on stdout, and stderr."""
        done = subprocess.run([*self.gateway.command(), '--delete_all', *flags], check=False, capture_output=True,
                              text=True, env={**os.environ, **self.gateway.env, **env}, timeout=DEADLINE_S)
        self.assertNotIn(HYPERSTACK_KEY, done.stdout + done.stderr)
        return done.returncode, done.stdout.splitlines(), done.stderr

    def kind_of(self, line, what, names):
        """Of what --delete_all names."""
        kind, name = re.fullmatch(rf'hyperstack: (\w+) (\S+) \(\d+\): {what}', line).groups()
        self.assertIn(name, names)
        return kind

    def put(self, key, machine, volumes):
        """By somebody else's hand."""
        key, zone = {'api_key': key}, 'default-CANADA-1'
        self.emulator.ask('POST', '/v1/core/virtual-machines', {
            'name': machine, 'environment_name': zone, 'flavor_name': 'n3-L40x1', 'key_name': 'k', 'image_name': 'i',
            'count': 1}, key)
        for name in volumes:
            self.emulator.ask('POST', '/v1/core/volumes', {
                'name': name, 'environment_name': zone, 'size': 1, 'volume_type': 'Cloud-SSD'}, key)

    def test_delete_all_leaves_nothing_of_a_fleet_and_all_of_others(self):
        self.begin('hyperstack')
        machine, _ = self.wake()
        self.gateway.kill()
        ours = self.emulator.there()
        self.assertEqual(len(ours), 2, 'the machine that still runs, and its volume')
        self.assertIn(machine['name'], ours)
        others = ['somebodys-volume', 'spotinference-laptop', 'spotinference-volume']
        self.put('of somebody else', others[1], [others[0], others[2]])
        fleet = ['spotinference-0a1b2c-m-1-01234567', 'spotinference-0a1b2c-m-89abcdef-0123']  # another one
        self.put(HYPERSTACK_KEY, fleet[0], fleet[1:])
        prefix = re.match(r'spotinference-[0-9a-f]{6}-', machine['name'])[0]

        status, lines, error = self.delete_all('--dry_run')
        self.assertEqual((status, lines[0]), (0, f'--dry_run: would delete what this fleet made, {prefix}*'), error)
        self.assertEqual(sorted(self.kind_of(line, 'would be deleted', ours) for line in lines[1:]),
                         ['machine', 'volume'])
        status, lines, error = self.delete_all('--dry_run', '--every_fleet')
        self.assertEqual((status, lines[0]), (0, '--dry_run: would delete what any fleet made, spotinference-*'), error)
        self.assertEqual(sorted(self.kind_of(line, 'would be deleted', ours + fleet) for line in lines[1:]),
                         ['machine', 'machine', 'volume', 'volume'])
        status, _, error = self.delete_all(HYPERSTACK_API_KEY='wrong')
        self.assertEqual(status, 1)
        self.assertIn('hyperstack: HTTP 401', error)
        status, lines, error = self.delete_all(f'--data_dir={self.gateway.data_dir}/nowhere')
        self.assertEqual((status, lines), (1, []))
        self.assertRegex(error, 'where/fleet_secret: there is none, .* nothing is deleted.* --delete_all --every_fleet')
        self.assertFalse(os.path.exists(f'{self.gateway.data_dir}/nowhere'))
        self.assertEqual(self.emulator.there(), sorted(ours + others + fleet), 'all as it was')

        status, lines, error = self.delete_all()
        self.assertEqual((status, lines[-1]), (0, 'nothing is left of what this fleet made'), error)
        self.assertEqual([self.kind_of(line, 'deleted', ours) for line in lines[1:-1]], ['machine', 'volume'])
        self.assertEqual(self.emulator.there(), sorted(others + fleet))
        self.assertEqual({row['name'] for row in self.emulator.machines('running')}, {others[1], fleet[0]})

        os.remove(f'{self.gateway.data_dir}/fleet_secret')
        status, lines, error = self.delete_all('--every_fleet')
        self.assertEqual((status, lines[-1]), (0, 'nothing is left of what any fleet made'), error)
        self.assertEqual(sorted(self.kind_of(line, 'deleted', fleet) for line in lines[1:-1]), ['machine', 'volume'])
        self.assertEqual(self.emulator.there(), others)
        self.assertEqual([row['name'] for row in self.emulator.machines('running')], [others[1]])

    def test_every_fleet_is_for_delete_all(self):
        done = subprocess.run([runfile('gateway/main'), '--every_fleet'], check=False, capture_output=True, text=True,
                              timeout=DEADLINE_S)
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn('--every_fleet is for --delete_all', done.stderr)

    def test_a_zone_without_stock(self):
        self.begin('hyperstack')
        self.emulator.say('stock hyperstack default-CANADA-1 n3-L40x1 0')
        self.wake()
        self.assertEqual([row['zone'] for row in self.emulator.machines('running')], ['default-NORWAY-1'])


if __name__ == '__main__':
    GGUF = os.path.realpath(sys.argv[1])
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
