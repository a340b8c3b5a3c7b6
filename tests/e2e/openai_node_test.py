"""Starts a gateway and runs openai_node_test.js against it. Without node it fails: the SDK would be untested."""

import os
import shutil
import subprocess
import unittest

from tests.e2e.harness import DEADLINE_S, MODEL, Gateway, runfile, wait_until_idle


class OpenAiNode(unittest.TestCase):
    def test_sdk(self):
        node = shutil.which('node')
        self.assertTrue(node, f"there is no node in {os.environ['PATH']}; on Debian: apt-get install nodejs npm")
        with Gateway() as gateway:
            done = subprocess.run([node, '--test', '--test-reporter=spec', runfile('tests/e2e/openai_node_test.js')],
                                  env={'PATH': os.environ['PATH'], 'BASE_URL': gateway.base_url, 'API_KEY': gateway.key,
                                       'MODEL': MODEL, 'NODE_PATH': runfile('../npm/node_modules')},
                                  timeout=2 * DEADLINE_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn('pass 7\n', done.stdout, 'every test of the file ran')
            wait_until_idle(gateway.engine_pid())


if __name__ == '__main__':
    unittest.main()
