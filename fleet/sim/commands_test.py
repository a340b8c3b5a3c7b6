"""//fleet:simulate and //fleet:report as a user runs them: files in, files and lines out.

commands_test.py SIMULATE REPORT
"""

import html.parser
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

POLICIES = ['on_demand', 'spot_one_zone', 'spot_round_robin', 'spothedge', 'ours', 'omniscient']
KEYS = {'policy', 'cost_dollars', 'on_demand_cost_dollars', 'served_within_target', 'requests', 'waited_p50_s',
        'waited_p99_s', 'interruptions', 'wakes', 'gpu_hours'}
USES = {'busy', 'idle', 'waking', 'lost'}
DOLLARS_ERROR = 1e-3  # files have ten thousandths

# A day in steps of ten minutes, of probes that say only whether there was a machine.
STEP_S, STEPS = 600, 24 * 6
WITHOUT_STOCK = {'us-east-1a': range(30, 42), 'us-east-1b': range(40, 60)}
PRICES = """provider,instance_type,accelerator,count,region,zone,on_demand_usd_per_hour,spot_usd_per_hour
aws,g6.xlarge,L4,1,us-east-1,use1-az1,0.8,0.3
aws,g6.xlarge,L4,1,us-east-1,use1-az2,0.8,0.2
"""
CONFIG = """models:
  - {name: org/a, weights: "hf://o/r/m.gguf", machines: {max: 2}}
  - {name: b, weights: "hf://o/r/m.gguf", machines: {max: 2}}
spend: {max_dollars_per_day: 100}
"""
# As GET /admin/v1/ledger answers.
LEDGER = {'lines': [{'model': 'm', 'market': 'spot', 'use': 'busy', 'seconds': 5400, 'dollars': 0.75, 'key': 'laptop',
                     'on_demand_dollars': 2.25, 'tokens': 500000},
                    {'model': 'm', 'market': 'spot', 'use': 'idle', 'seconds': 1800, 'dollars': 0.25,
                     'on_demand_dollars': 0.75},
                    {'model': 'm', 'market': 'spot', 'use': 'waking', 'seconds': 0, 'dollars': 0.5,
                     'on_demand_dollars': 0.5, 'replacing_dollars': 0.125}],
          'storage': [{'model': 'm', 'kind': 'volume', 'dollars': 0.25, 'gigabyte_hours': 100}],
          'summary': [{'model': 'm', 'dollars': 1.75, 'tokens': 500000, 'dollars_per_million_tokens': 3.5,
                       'idle_share': 0.25, 'saving_share': 0.5, 'interruption_dollars': 0.125,
                       'keys': [{'key': 'laptop', 'dollars': 0.75, 'tokens': 500000,
                                 'dollars_per_million_tokens': 1.5}]}]}


class Fetches(html.parser.HTMLParser):
    """What a browser that shows the page would ask for."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag in ('script', 'link', 'iframe', 'object', 'embed'):
            self.found.append(tag)
        for name, value in attrs:
            if name in ('src', 'srcset', 'href', 'xlink:href', 'data', 'action', 'background'):
                self.found.append(f'{tag} {name}={value}')


class CommandsTest(unittest.TestCase):

    def setUp(self):
        self.dir = tempfile.mkdtemp(dir=os.environ['TEST_TMPDIR'])
        for zone, without in WITHOUT_STOCK.items():
            self.write(f'traces/1-node/aws-1-1-2026/{zone}_l4_1.json',
                       json.dumps({'metadata': {'gap_seconds': STEP_S},
                                   'data': [0 if step in without else 1 for step in range(STEPS)]}))
        self.write('prices.csv', PRICES)
        rows = [f'2026-01-01 {minute // 60:02d}:{minute % 60:02d}:00,100,9000\n' for minute in range(240)]
        self.write('requests.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n' + ''.join(rows))

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)

    def read(self, name):
        with open(os.path.join(self.dir, name), encoding='utf-8') as file:
            return file.read()

    def run_program(self, program, *flags):
        """With the paths of a user who stands in the folder, as `bazel run` has it."""
        return subprocess.run([program, *flags], env={**os.environ, 'BUILD_WORKING_DIRECTORY': self.dir},
                              capture_output=True, text=True, check=False)

    def run_well(self, program, *flags):
        done = self.run_program(program, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def simulate(self, out, *flags, requests='--requests=requests.csv'):
        return self.run_well(SIMULATE, '--traces=traces', '--prices=prices.csv', requests, f'--out={out}', *flags)

    def result(self, out, policy):
        return json.loads(self.read(f'{out}/{policy}.json'))

    def expect_sane(self, result, policy, requests):
        self.assertLessEqual(KEYS, result.keys())
        self.assertEqual(result['policy'], policy)
        self.assertEqual(result['requests'], requests)
        self.assertEqual(result['gpu_hours'].keys(), USES)
        self.assertTrue(0 <= result['served_within_target'] <= 1, result)
        self.assertTrue(0 <= result['waited_p50_s'] <= result['waited_p99_s'], result)
        self.assertGreater(result['gpu_hours']['busy'], 0)
        self.assertTrue(min(result['gpu_hours'].values()) >= 0, result)
        for count in ('interruptions', 'wakes'):
            self.assertIsInstance(result[count], int)
            self.assertGreaterEqual(result[count], 0)

    def expect_pages(self, out, policies):
        for name in ['cost', 'waits'] + [f'machines-{policy}' for policy in policies]:
            svg = xml.etree.ElementTree.fromstring(self.read(f'{out}/{name}.svg'))
            self.assertEqual(svg.tag, '{http://www.w3.org/2000/svg}svg', name)
        page = self.read(f'{out}/report.html')
        fetches = Fetches()
        fetches.feed(page)
        self.assertEqual(fetches.found, [])
        self.assertNotRegex(page, r'url\(|@import')

    def test_all_policies(self):
        printed = self.simulate('out', '--policy=all', '--scale=2')
        results = {policy: self.result('out', policy) for policy in POLICIES}
        on_demand = results['on_demand']['cost_dollars']
        for policy, result in results.items():
            self.expect_sane(result, policy, results['on_demand']['requests'])
            self.assertEqual(result['on_demand_cost_dollars'], on_demand)
            gap = result['cost_dollars'] / results['omniscient']['cost_dollars'] - 1
            self.assertAlmostEqual(result['gap_to_omniscient'], gap, delta=DOLLARS_ERROR)
            self.assertEqual(result['markets'][0]['gap_to_omniscient'], result['gap_to_omniscient'])
            shown = 100 * result['gap_to_omniscient']
            self.assertRegex(printed, rf'(?m)^{policy} +{result["cost_dollars"]:.2f} +[0-9.]+% +{shown:.1f}% ')
            self.assertRegex(self.read('out/report.html'),
                             rf'<td>{policy}</td>(<td>[^<]*</td>){{2}}<td>{shown:.1f} %</td>')
        self.assertGreater(results['on_demand']['requests'], 240, 'four hours of requests, told all day')
        self.assertEqual(results['on_demand']['interruptions'], 0)
        self.assertGreater(results['spot_one_zone']['interruptions'], 0)
        self.assertGreater(results['omniscient']['cost_dollars'], 0)
        self.assertLess(results['omniscient']['cost_dollars'], results['ours']['cost_dollars'])
        self.assertLess(results['ours']['cost_dollars'], on_demand)
        self.expect_pages('out', POLICIES)

    def test_one_policy_beside_on_demand(self):
        printed = self.simulate('out', '--policy=spot_one_zone')
        self.assertEqual([line.split()[0] for line in printed.splitlines()[:-1]],
                         ['policy', 'on_demand', 'spot_one_zone'])
        self.assertNotIn('gap_to_omniscient', self.result('out', 'spot_one_zone'), 'that was not run')
        self.assertEqual([name for name in sorted(os.listdir(f'{self.dir}/out')) if name.endswith('.json')],
                         ['spot_one_zone.json'])
        self.expect_pages('out', ['on_demand', 'spot_one_zone'])

    def test_several_policies_are_what_each_is_alone(self):
        printed = self.simulate('out', '--policy=ours,spot_one_zone')
        self.assertEqual([line.split()[0] for line in printed.splitlines()[:-1]],
                         ['policy', 'on_demand', 'spot_one_zone', 'ours'])
        for name in ('ours', 'spot_one_zone'):
            self.simulate(name, f'--policy={name}')
            self.assertEqual(self.result('out', name), self.result(name, name))
        self.assertNotIn('on_demand.json', os.listdir(f'{self.dir}/out'))

    def test_a_zone_of_which_only_stock_is_known_has_four_machines(self):
        for out, flags in {'default': [], '3': ['--zone_capacity=3'], '4': ['--zone_capacity=4'],
                           '5': ['--zone_capacity=5']}.items():
            self.simulate(out, '--policy=spot_one_zone', '--scale=2', *flags)
        of_four = self.result('4', 'spot_one_zone')
        self.assertEqual(self.result('default', 'spot_one_zone'), of_four)
        self.assertNotEqual(self.result('3', 'spot_one_zone'), of_four)
        self.assertNotEqual(self.result('5', 'spot_one_zone'), of_four)

    def test_what_if_of_a_log_with_two_models(self):
        lines = [f'I20260101 00:{minute:02d}:00.500000  1234 gateway.cc:37] id=req_{minute} peer=127.0.0.1 method=POST '
                 f'path=/v1/chat/completions status=200 bytes=7 ms=2000 end=complete key=default '
                 f'model={("org/a", "b")[minute % 2]} prompt_tokens=100 generated_tokens=500\n' for minute in range(60)]
        self.write('gateway.log', ''.join(lines))
        self.write('config.yaml', CONFIG)
        printed = self.simulate('out', '--policy=ours', '--config=config.yaml', requests='--what_if=gateway.log')
        self.assertIn('org/a: 30 requests\n', printed)
        self.assertIn('b: 30 requests\n', printed)
        self.assertEqual(sorted(os.listdir(f'{self.dir}/out')), ['1-b', '2-org-a'])
        results = [self.result(f'out/{folder}', 'ours') for folder in ('1-b', '2-org-a')]
        month = 730 * 3600 / (STEP_S * STEPS)
        for result, folder in zip(results, ('1-b', '2-org-a')):
            self.expect_sane(result, 'ours', result['requests'])
            self.expect_pages(f'out/{folder}', ['on_demand', 'ours'])
        said = re.search(r'(?m)^a month of all models, dollars: on_demand ([0-9.]+), ours ([0-9.]+)$', printed)
        self.assertTrue(said, printed)
        for dollars, name in zip(said.groups(), ('on_demand_cost_dollars', 'cost_dollars')):
            self.assertAlmostEqual(float(dollars), sum(result[name] for result in results) * month,
                                   delta=month * DOLLARS_ERROR)

    def test_what_if_of_a_csv_with_a_configuration(self):
        self.write('config.yaml', CONFIG)
        flags = ['--policy=ours', '--config=config.yaml']
        which = self.run_program(SIMULATE, '--traces=traces', '--what_if=requests.csv', '--out=out', *flags)
        self.assertEqual(which.returncode, 1)
        self.assertIn('--model says of which one these requests are', which.stderr)
        printed = self.simulate('out', '--model=b', *flags, requests='--what_if=requests.csv')
        result = self.result('out', 'ours')
        self.expect_sane(result, 'ours', result['requests'])
        self.assertGreater(result['requests'], 200)
        self.expect_pages('out', ['on_demand', 'ours'])
        month = 730 * 3600 / (STEP_S * STEPS)
        said = re.search(r'(?m)^a month, dollars: on_demand ([0-9.]+), ours ([0-9.]+)$', printed)
        self.assertTrue(said, printed)
        for dollars, name in zip(said.groups(), ('on_demand_cost_dollars', 'cost_dollars')):
            self.assertAlmostEqual(float(dollars), result[name] * month, delta=month * DOLLARS_ERROR)

    def test_wrong_usage_of_simulate(self):
        good = ['--traces=traces', '--requests=requests.csv', '--out=out']
        for flags, said in ((good[:2], '--traces, --out and either'), (good[1:], '--traces, --out and either'),
                            ([good[0], good[2]], '--requests or --what_if'),
                            ([*good, '--what_if=requests.csv'], '--requests or --what_if'),
                            ([*good, '--policy=best'], '--policy is one of on_demand, '),
                            ([*good, '--policy=ours,best'], '--policy is one of on_demand, '),
                            ([*good, '--policy='], '--policy is one of on_demand, '),
                            ([*good, '--scale=-1'], '--scale is not negative'),
                            ([*good, '--zone_capacity=-1'], '--zone_capacity'), ([*good, '--nosuch'], 'nosuch'),
                            ([*good, 'more'], "'more'")):
            done = self.run_program(SIMULATE, *flags)
            self.assertEqual((done.returncode, done.stdout), (2, ''), flags)
            self.assertIn(said, done.stderr)
        self.assertNotIn('out', os.listdir(self.dir))
        done = self.run_program(SIMULATE, '--traces=none', *good[1:])
        self.assertEqual(done.returncode, 1, 'good usage, and no such folder')
        self.assertIn(f'{self.dir}/none', done.stderr)

    def test_the_report_answers_the_four_questions(self):
        self.write('ledger.json', json.dumps(LEDGER))
        report = self.run_well(REPORT, '--ledger=ledger.json')
        for line in (r'm  \$1\.7500', r'  share of idle tail +25\.0 %', r'  a million tokens +\$3\.5000',
                     r'  saved against on demand +50\.0 %', r'  interruptions +\$0\.1250  .*',
                     r'  key laptop +\$0\.7500  busy; \$1\.5000 a million tokens'):
            self.assertRegex(report, rf'(?m)^{line}$')
        self.write('metrics.txt', 'spotinference_tokens_total{kind="generated",model="m"} 250000\n')
        self.assertRegex(self.run_well(REPORT, '--ledger=ledger.json', '--metrics=metrics.txt'),
                         r'(?m)^  a million tokens +\$7\.0000$')

    def test_wrong_usage_of_report(self):
        for flags, said in (([], '--ledger is needed'), (['--nosuch'], 'nosuch'), (['ledger.json'], "'ledger.json'")):
            done = self.run_program(REPORT, *flags)
            self.assertEqual((done.returncode, done.stdout), (2, ''), flags)
            self.assertIn(said, done.stderr)
        done = self.run_program(REPORT, '--ledger=requests.csv')
        self.assertEqual(done.returncode, 1)
        self.assertIn('requests.csv: not the body of /admin/v1/ledger', done.stderr)


if __name__ == '__main__':
    SIMULATE, REPORT = map(os.path.realpath, sys.argv[1:3])
    unittest.main(argv=sys.argv[:1])
