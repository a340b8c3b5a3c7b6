"""//fleet/sim:convert_traces on records in the forms that it knows."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import convert_traces

LOG = '''[2020-03-01T10:11:21.000Z] Created instance instance0 with 1 GPU(s) of type nvidia-tesla-v100 in zone \
us-west1-b
[2020-03-01T10:11:22.000Z] Instance instance0 running in zone us-west1-b
[2020-03-01T10:12:22.000Z] Instance instance1 creation failed
[2020-03-01T10:12:23.000Z] Instance instance1 not running in zone us-west1-b
[2020-03-01T10:15:21.000Z] Instance instance0 not running in zone us-west1-b
[2020-03-01T10:15:26.000Z] Successfully deleted instance instance0
[2020-03-01T10:17:21.000Z] Created instance instance0 with 1 GPU(s) of type nvidia-tesla-v100 in zone us-west1-b
[2020-03-01T10:18:21.000Z] Created instance i-1 with 8 GPU(s) of type k80 in zone us-east-1c
[2020-03-01T10:21:21.000Z] Instance i-1 running in zone us-east-1c
'''


class ConvertTraces(unittest.TestCase):

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(dir=os.environ['TEST_TMPDIR']))

    def convert(self, name, text, *flags):
        (self.dir / name).write_text(text)
        command = [sys.executable, convert_traces.__file__, f'--out={self.dir / "out"}', *flags, self.dir / name]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def trace(self, name):
        return json.loads((self.dir / 'out' / f'{name}.json').read_text())

    def test_log(self):
        status, said = self.convert('held.out', LOG)
        self.assertEqual(status, 0, said)
        self.assertEqual(self.trace('us-west1-b_v100_1'),
                         {'metadata': {'gap_seconds': 60}, 'data': [1, 1, 1, 1, 0, 0, 1, 1, 1, 1]})
        self.assertEqual(self.trace('us-east-1c_k80_8')['data'], [0] * 7 + [1] * 3)
        self.assertEqual(len(list((self.dir / 'out').iterdir())), 2, 'what never ran has no zone to its kind')
        self.assertIn('us-west1-b_v100_1: 0.2 h, some there 80.0 % of the time', said)

    def test_steps(self):
        status, said = self.convert('us-east-1c_t4_1.csv', '0,0\n30,0\n30,4\n90,4\n90,2\n150,2\n', '--step=30')
        self.assertEqual(status, 0, said)
        self.assertEqual(self.trace('us-east-1c_t4_1'), {'metadata': {'gap_seconds': 30}, 'data': [0, 4, 4, 2, 2]})
        self.convert('a_b_1.csv', '0,1\n0.05,3\n0.1,3\n', '--unit=3600')
        self.assertEqual(self.trace('a_b_1')['data'], [1, 1, 1, 3, 3, 3])

    def test_times_are_utc(self):
        day = '[2020-03-08T0'
        (self.dir / 'held.out').write_text(f'{day}2:30:00.000Z] Created instance a with 1 GPU(s) of type t4 in zone z\n'
                                           f'{day}3:10:00.000Z] Instance a not running in zone z\n'
                                           f'{day}3:12:00.000Z] Instance a creation failed\n')
        command = [sys.executable, convert_traces.__file__, f'--out={self.dir / "out"}', self.dir / 'held.out']
        subprocess.run(command, check=True, env={**os.environ, 'TZ': 'America/Los_Angeles'})  # has no 02:30 on that day
        self.assertEqual(self.trace('z_t4_1')['data'], [1] * 40 + [0] * 2)

    def test_two_records_of_one_place_are_two_markets(self):
        (self.dir / 'again.out').write_text(LOG)
        status, said = self.convert('held.out', LOG, str(self.dir / 'again.out'))
        self.assertEqual(status, 1)
        self.assertIn('another file has us-east-1c_k80_8, too', said)

    def test_errors_name_the_line(self):
        for name, text, error in (('a_b_1.csv', '0,1\nx\n', 'a_b_1.csv:2: "x" is not "TIME,MACHINES"'),
                                  ('a_b_1.csv', '5,1\n4,1\n', 'a_b_1.csv:2: '),
                                  ('a_b_1.csv', '0,-1\n', 'a_b_1.csv:1: '),
                                  ('a_b_1.csv', '0, -1\n', 'a_b_1.csv:1: '),
                                  ('a_b_1.csv', 'nan,1\n', 'a_b_1.csv:1: '),
                                  ('a_b_1.csv', '0,1\ninf,1\n', 'a_b_1.csv:2: '),
                                  ('a_b_1.csv', '', 'a_b_1.csv: holds nothing'),
                                  ('a_b_1.csv', '0,1\n', 'a_b_1.csv: is shorter than a step'),
                                  ('a.out', 'nothing', 'a.out: tells of no machine'),
                                  ('a.out', '[yesterday] Created', 'a.out:1: "yesterday" is no time')):
            status, said = self.convert(name, text)
            self.assertEqual(status, 1, said)
            self.assertIn(error, said)


if __name__ == '__main__':
    unittest.main()
