"""The AWS adapter against moto's server, which others wrote: it understands what we send, and we what it answers.

moto_test.py AWS_CALLS

The shape of requests and answers only: moto ignores ClientToken and signatures, and attaches across zones and twice.
It has neither ListServiceQuotas nor GetProducts: those two are held by botocore alone (sdk_test.py).
"""

import os
import subprocess
import sys
import unittest

import boto3
import botocore.config
import moto.server

DEADLINE_S = 120
KEYS = {'AWS_ACCESS_KEY_ID': 'AKIDMOTO', 'AWS_SECRET_ACCESS_KEY': 'moto'}


class MotoTest(unittest.TestCase):
    def test_every_call_that_moto_has(self):
        server = moto.server.ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
        server.start()
        self.addCleanup(server.stop)
        url = f'http://127.0.0.1:{server.get_host_and_port()[1]}'
        config = botocore.config.Config(proxies={})
        session = boto3.Session(*KEYS.values(), region_name='us-east-1')
        ec2 = session.client('ec2', endpoint_url=url, config=config)
        image = ec2.describe_images(Owners=['amazon'])['Images'][0]['ImageId']

        done = subprocess.run([AWS_CALLS, url, image], env={**os.environ, **KEYS}, stdout=subprocess.PIPE, text=True,
                              timeout=DEADLINE_S, check=False)
        said = done.stdout.splitlines()
        self.assertEqual(done.returncode, 0, done.stdout)
        name = 'spotinference-moto-m'
        self.assertRegex(said[0], r'^Offers: us-east-1[a-f] T4 1$')
        self.assertIn('ListServiceQuotas', said[1])
        self.assertRegex(said[2], r'GetProducts; none on demand$')
        self.assertRegex(said[3], rf'^CreateVolume: OK; {name} in us-east-1[a-f]: available; $')
        self.assertRegex(said[4], rf'^CreateMachine: OK; {name} in us-east-1[a-f]: (pending|running); ')
        self.assertRegex(said[5], r'^Address: \d+\.\d+\.\d+\.\d+$')
        self.assertIn('attached attached; ', said[6])
        self.assertIn(f'{name} in', said[7])
        self.assertRegex(said[8], r'^StartMachine: OK; .*: running; ')
        self.assertIn('terminated', said[9])
        self.assertNotIn('available', said[10])
        self.assertRegex(said[11], r'^Boot: [1-9]\d* GB$')

        instance, = [i for r in ec2.describe_instances()['Reservations'] for i in r['Instances']]
        self.assertIn({'Key': 'Name', 'Value': name}, instance['Tags'])
        self.assertNotIn(said[5].split()[1], ('', instance.get('PrivateIpAddress')))
        self.assertEqual((instance['InstanceType'], instance['State']['Name']), ('g4dn.xlarge', 'terminated'))
        self.assertEqual(ec2.describe_volumes(Filters=[{'Name': 'tag:Name', 'Values': [name]}])['Volumes'], [])


if __name__ == '__main__':
    AWS_CALLS = os.path.abspath(sys.argv[1])
    unittest.main(argv=sys.argv[:1])
