"""The emulated clouds, driven by the clouds' own SDKs: what these send is understood, what they get has their shape.

sdk_test.py EMULATOR
"""

import os
import select
import subprocess
import sys
import tempfile
import time
import unittest

import boto3
import botocore.config
import botocore.exceptions
import hyperstack

DEADLINE_S = 60


class Emulator:
    def __init__(self):
        directory = tempfile.mkdtemp(dir=os.environ['TEST_TMPDIR'])
        self.process = subprocess.Popen([EMULATOR, f'--dir={directory}'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.url = self.process.stdout.readline().strip()

    def say(self, command):
        self.process.stdin.write(command + '\n')
        self.process.stdin.flush()
        assert self.process.stdout.readline() == 'ok\n', command

    def close(self):
        self.process.stdin.close()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        select.select([], [], [], 0.02)


class SdkTest(unittest.TestCase):
    def setUp(self):
        self.emulator = Emulator()
        self.addCleanup(self.emulator.close)

    def test_boto3(self):
        config = botocore.config.Config(retries={'max_attempts': 1}, proxies={})
        region = {'region_name': 'us-east-1'}
        session = boto3.Session(aws_access_key_id='AKIDEMULATOR', aws_secret_access_key='emulated', **region)
        ec2 = session.client('ec2', endpoint_url=self.emulator.url, config=config)
        prices = ec2.describe_spot_price_history(InstanceTypes=['g6.xlarge'], ProductDescriptions=['Linux/UNIX'])
        self.assertEqual({p['AvailabilityZone']: float(p['SpotPrice']) for p in prices['SpotPriceHistory']},
                         {'us-east-1a': 0.31, 'us-east-1b': 0.28})
        types = ec2.describe_instance_types(InstanceTypes=['g6.xlarge'])['InstanceTypes']
        self.assertEqual([(gpu['Name'], gpu['Count']) for gpu in types[0]['GpuInfo']['Gpus']], [('L4', 1)])

        def run(token, zone='us-east-1a'):
            tags = [{'ResourceType': 'instance', 'Tags': [{'Key': 'Name', 'Value': 'mine'}]}]
            return ec2.run_instances(ImageId='ami-1', InstanceType='g6.xlarge', MinCount=1, MaxCount=1,
                                     ClientToken=token, TagSpecifications=tags,
                                     Placement={'AvailabilityZone': zone}, UserData='#!/bin/sh\nexec sleep 1000\n',
                                     InstanceMarketOptions={'MarketType': 'spot'})

        machine = run('t-1')['Instances'][0]
        self.assertEqual(machine['State']['Name'], 'pending')
        self.assertEqual(machine['InstanceLifecycle'], 'spot')
        self.assertEqual(run('t-1')['Instances'][0]['InstanceId'], machine['InstanceId'], 'the token makes no second')
        with self.assertRaisesRegex(botocore.exceptions.ClientError, 'IdempotentParameterMismatch'):
            run('t-1', 'us-east-1b')

        def described():
            filters = [{'Name': 'tag:Name', 'Values': ['mine*']}]
            pages = ec2.get_paginator('describe_instances').paginate(Filters=filters, PaginationConfig={'PageSize': 5})
            return [i for page in pages for reservation in page['Reservations'] for i in reservation['Instances']]

        wait_for(lambda: described()[0]['State']['Name'] == 'running', 'it runs')
        volume = ec2.create_volume(AvailabilityZone='us-east-1a', Size=10, VolumeType='gp3')
        wait_for(lambda: ec2.describe_volumes()['Volumes'][0]['State'] == 'available', 'the volume is there')
        ec2.attach_volume(VolumeId=volume['VolumeId'], InstanceId=machine['InstanceId'], Device='/dev/sdf')
        wait_for(lambda: ec2.describe_volumes()['Volumes'][0]['Attachments'][0]['State'] == 'attached', 'attached')
        with self.assertRaisesRegex(botocore.exceptions.ClientError, 'VolumeInUse'):
            ec2.delete_volume(VolumeId=volume['VolumeId'])
        changed = ec2.terminate_instances(InstanceIds=[machine['InstanceId']])['TerminatingInstances'][0]
        states = changed['PreviousState']['Name'], changed['CurrentState']['Name']
        self.assertEqual(states, ('running', 'shutting-down'))
        wait_for(lambda: described()[0]['State']['Name'] == 'terminated', 'it is gone')
        wait_for(lambda: ec2.describe_volumes()['Volumes'][0]['State'] == 'available', 'the volume is free')
        ec2.delete_volume(VolumeId=volume['VolumeId'])
        self.assertEqual(ec2.describe_volumes()['Volumes'], [])

        self.emulator.say('stock aws us-east-1a g6.xlarge 0')
        with self.assertRaisesRegex(botocore.exceptions.ClientError, 'InsufficientInstanceCapacity'):
            run('t-2')
        stranger = boto3.Session(aws_access_key_id='AKIDEMULATOR', aws_secret_access_key='wrong', **region)
        with self.assertRaisesRegex(botocore.exceptions.ClientError, 'AuthFailure'):
            stranger.client('ec2', endpoint_url=self.emulator.url, config=config).describe_instances()

        products = session.client('pricing', endpoint_url=self.emulator.url, config=config).get_products(
            ServiceCode='AmazonEC2', Filters=[{'Type': 'TERM_MATCH', 'Field': 'instanceType', 'Value': 'g6.xlarge'},
                                              {'Type': 'TERM_MATCH', 'Field': 'regionCode', 'Value': 'us-east-1'}])
        self.assertIn('0.8048', products['PriceList'][0])

    def test_hyperstack(self):
        configuration = hyperstack.Configuration(host=f'{self.emulator.url}/v1', api_key={'apiKey': 'key'})
        client = hyperstack.ApiClient(configuration)
        client.set_default_header('api_key', 'key')
        machines, volumes = hyperstack.VirtualMachineApi(client), hyperstack.VolumeApi(client)
        flavors = hyperstack.FlavorApi(client).list_flavors()
        self.assertEqual({(g.region_name, f.name, f.gpu_count) for g in flavors.data for f in g.flavors},
                         {('CANADA-1', 'n3-L40x1', 1), ('NORWAY-1', 'n3-L40x1', 1)})
        stocks = hyperstack.StockApi(client).get_gpu_stock()
        self.assertEqual({s.region for s in stocks.stocks}, {'CANADA-1', 'NORWAY-1'})
        prices = hyperstack.PricebookApi(client).get_pricebook()
        self.assertEqual([(p.name, p.value) for p in prices], [('L40', 1)])
        payload = hyperstack.CreateInstancesPayload(name='mine', environment_name='default-CANADA-1',
                                                    image_name='Ubuntu', flavor_name='n3-L40x1', key_name='laptop', count=1,
                                                    user_data='#!/bin/sh\nexec sleep 1000\n')
        machine = machines.create_vms(payload).instances[0]
        self.assertEqual(machine.status, 'BUILD')
        with self.assertRaises(hyperstack.ApiException) as refused:
            machines.create_vms(payload)
        self.assertEqual(refused.exception.status, 409)
        self.assertFalse(machines.check_vm_name_availability('mine').available)

        def status():
            return machines.get_vm(machine.id).instance.status

        wait_for(lambda: status() == 'ACTIVE', 'it runs')
        volume = volumes.create_volume(hyperstack.CreateVolumePayload(
            name='weights', environment_name='default-CANADA-1', size=10, volume_type='Cloud-SSD')).volume
        wait_for(lambda: volumes.get_volume(volume.id).volume.status == 'available', 'the volume is there')
        attachments = hyperstack.VolumeAttachmentApi(client)
        attachments.attach_volumes_to_vm(machine.id, hyperstack.AttachVolumesPayload(volume_ids=[volume.id]))
        wait_for(lambda: volumes.get_volume(volume.id).volume.status == 'in-use', 'it is attached')
        self.assertEqual(volumes.get_volume(volume.id).volume.attachments[0].instance_id, machine.id)
        machines.hibernate_vm(machine.id)
        wait_for(lambda: status() == 'HIBERNATED', 'it is hibernated')
        machines.restore_vm_from_hibernation(machine.id)
        wait_for(lambda: status() == 'ACTIVE', 'it is back')
        listed = machines.list_vms(page=1, page_size=10)
        self.assertEqual([(i.name, i.environment.region) for i in listed.instances], [('mine', 'CANADA-1')])
        machines.delete_vm(machine.id)
        wait_for(lambda: not machines.list_vms().instances, 'it is gone')


if __name__ == '__main__':
    EMULATOR = os.path.abspath(sys.argv[1])
    unittest.main(argv=sys.argv[:1])
