"""//fleet/sim:bar on markets and requests that are not those of ../shared/data.

bar_test.py SIMULATE
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import bar

# Two days in steps of ten minutes.
STEP_S, STEPS = 600, 2 * 24 * 6
ALWAYS = [1] * STEPS
AWS, GCP = 'aws-1-1-2026 l4_1 1-node', 'gcp-2-2-2026 t4_2'
NUMBERS = r'[0-9.]+ % · ([0-9.]+)'
ROW = (rf'\| (?P<market>[^|]+) \| (?P<scale>\S+) \| \d+ \| {NUMBERS} \| {NUMBERS} \| \S+ \| (?P<least>\S+) % '
       rf'\| [^|]+ \| ([0-9]: {NUMBERS} \| \S+|none \| ) \| [^|]+ \|')


class BarTest(unittest.TestCase):

    def setUp(self):
        self.dir = tempfile.mkdtemp(dir=os.environ['TEST_TMPDIR'])
        for path, data in {
                'other/1-node/aws-1-1-2026/us-east-1a_l4_1.json': [1] * 30 + [0] * 12 + [1] * (STEPS - 42),
                'other/1-node/aws-1-1-2026/us-east-1b_l4_1.json': ALWAYS,
                'other/deep/er/gcp-2-2-2026/us-east1-b_t4_2.json': [4] * STEPS,
                'other/deep/er/gcp-2-2-2026/us-east1-b_t4_24.json': [4] * STEPS,
        }.items():
            self.write(path, json.dumps({'metadata': {'gap_seconds': STEP_S}, 'data': data}))
        rows = [f'2026-01-01 {minute // 60:02d}:{minute % 60:02d}:00,100,9000\n' for minute in range(240)]
        self.write('own.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n' + ''.join(rows))

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)

    def run_bar(self, *flags):
        """As `bazel run` does for a user who stands in the folder."""
        return subprocess.run([sys.executable, bar.__file__, f'--simulate={SIMULATE}', *flags],
                              env={**os.environ, 'BUILD_WORKING_DIRECTORY': self.dir, 'PYTHONIOENCODING': 'utf-8'},
                              capture_output=True, encoding='utf-8', check=False)

    def rows(self, *flags):
        done = self.run_bar(*flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()[2:]

    def test_markets_of_others(self):
        os.remove(os.path.join(self.dir, 'other/deep/er/gcp-2-2-2026/us-east1-b_t4_24.json'))
        rows = self.rows('--data=other', '--requests=own.csv', '--scales=1,2')
        found = [re.fullmatch(ROW, row) for row in rows]
        self.assertTrue(all(found), rows)
        self.assertEqual([(row['market'], row['scale']) for row in found],
                         [(AWS, '1'), (GCP, '1'), (AWS, '2'), (GCP, '2')])
        self.assertGreater(float(found[0]['least']), 0)
        self.assertEqual(rows, self.rows('--data=other', '--requests=own.csv', '--scales=1,2', '--seed=1'))
        self.assertNotEqual(rows, self.rows('--data=other', '--requests=own.csv', '--scales=1,2', '--seed=2'))
        self.assertNotEqual(rows[0], self.rows('--data=other', '--requests=own.csv', '--scales=1', '--resample=3')[0])

    def test_the_bar_only(self):
        flags = ['--data=other/1-node', '--requests=own.csv', '--scales=1']
        whole, brief = self.rows(*flags), self.rows(*flags, '--bar_only')
        self.assertEqual([row.split('|')[:9] for row in whole], [row.split('|')[:9] for row in brief])
        self.assertEqual([len(row.split('|')) for row in brief], [10])

    def test_says_what_is_wrong(self):
        done = self.run_bar('--data=other', '--requests=none.csv')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f'{self.dir}/none.csv', done.stderr)
        done = self.run_bar('--data=other', '--requests=own.csv', '--scales=1')
        self.assertIn(f'{GCP} is in the names of 2 markets', done.stderr)
        os.mkdir(os.path.join(self.dir, 'empty'))
        done = self.run_bar('--data=empty', '--requests=own.csv')
        self.assertEqual(done.returncode, 2)
        self.assertIn('empty: holds no trace', done.stderr)

    def test_what_is_missing(self):
        def run(dollars, served):
            return bar.Run({'cost_dollars': dollars, 'on_demand_cost_dollars': 100, 'served_within_target': served})

        hedge, least = run(50, 0.9995), run(10, 1)
        for ours, said in ((run(45, 0.9995), '✓'), (run(45.1, 0.9995), 'cost'), (run(45, 0.9994), 'service'),
                           (run(46, 0.9994), 'service, cost'), (run(40, 0.998), 'target, service')):
            self.assertEqual(bar.missing(ours, hedge, least), said)
        self.assertEqual(bar.missing(run(50, 0.9995), hedge, run(46, 1)), 'impossible')


if __name__ == '__main__':
    SIMULATE = os.path.realpath(sys.argv[1])
    unittest.main(argv=sys.argv[:1])
