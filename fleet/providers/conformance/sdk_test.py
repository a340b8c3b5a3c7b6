"""The emulated clouds, driven by the clouds' own SDKs: what these send is understood, what they get has their shape.

sdk_test.py EMULATOR
"""

import base64
import json
import os
import re
import sys
import time
import unittest
import unittest.mock
import urllib.request

import azure.core.credentials
import azure.core.exceptions
import azure.core.pipeline.policies
import azure.mgmt.compute
import azure.mgmt.network
import boto3
import botocore.config
import botocore.exceptions
import botocore.utils
import google.auth.compute_engine
import google.auth.exceptions
import google.auth.transport.requests
import google.oauth2.credentials
import googleapiclient.discovery
import googleapiclient.errors
import hyperstack
import msal
import requests

from fleet.providers.conformance.emulator import DEADLINE_S, Emulator, wait_for
from fleet.providers.conformance.published import HyperstackClient, aws_misfits, azure_misfits, google_misfits


class SdkTest(unittest.TestCase):
    def setUp(self):
        self.emulator = Emulator(EMULATOR)
        self.addCleanup(self.emulator.close)

    def test_boto3(self):
        config = botocore.config.Config(retries={'max_attempts': 1}, proxies={})
        region = {'region_name': 'us-east-1'}
        session = boto3.Session(aws_access_key_id='AKIDEMULATOR', aws_secret_access_key='emulated', **region)
        asked, wrong = set(), []

        def hold(operation_model, response_dict, **_):
            asked.add(operation_model.name)
            wrong.extend(aws_misfits(operation_model, response_dict['status_code'], response_dict['body']))

        session.events.register('before-parse', hold)
        ec2 = session.client('ec2', endpoint_url=self.emulator.url, config=config)
        sts = session.client('sts', endpoint_url=self.emulator.url, config=config)
        self.assertEqual(sts.get_caller_identity()['Account'], '123456789012')
        prices = ec2.describe_spot_price_history(InstanceTypes=['g6.xlarge'], ProductDescriptions=['Linux/UNIX'])
        self.assertEqual({p['AvailabilityZone']: float(p['SpotPrice']) for p in prices['SpotPriceHistory']},
                         {'us-east-1a': 0.31, 'us-east-1b': 0.28})
        types = ec2.describe_instance_types(InstanceTypes=['g6.xlarge'])['InstanceTypes']
        self.assertEqual([(gpu['Name'], gpu['Count']) for gpu in types[0]['GpuInfo']['Gpus']], [('L4', 1)])
        offered = ec2.describe_instance_type_offerings(
            LocationType='availability-zone', Filters=[{'Name': 'instance-type', 'Values': ['g6.xlarge']}])
        self.assertEqual({o['Location'] for o in offered['InstanceTypeOfferings']}, {'us-east-1a', 'us-east-1b'})
        with self.assertRaisesRegex(botocore.exceptions.ClientError, 'InvalidInstanceType'):
            ec2.describe_instance_types(InstanceTypes=['g7.xlarge'])

        def run(token, zone='us-east-1a'):
            tags = [{'ResourceType': kind, 'Tags': [{'Key': 'Name', 'Value': name}]}
                    for kind, name in (('instance', 'mine'), ('volume', 'root'))]
            return ec2.run_instances(ImageId='ami-1', InstanceType='g6.xlarge', MinCount=1, MaxCount=1,
                                     ClientToken=token, TagSpecifications=tags,
                                     Placement={'AvailabilityZone': zone}, UserData='#!/bin/sh\nexec sleep 1000\n',
                                     BlockDeviceMappings=[{'DeviceName': '/dev/xvda', 'Ebs': {'VolumeSize': 40}}],
                                     InstanceMarketOptions={'MarketType': 'spot'}, NetworkInterfaces=[{
                                         'DeviceIndex': 0, 'AssociatePublicIpAddress': True}])

        machine = run('t-1')['Instances'][0]
        self.assertEqual(machine['State']['Name'], 'pending')
        self.assertEqual(machine['InstanceLifecycle'], 'spot')
        self.assertEqual(run('t-1')['Instances'][0]['InstanceId'], machine['InstanceId'], 'the token makes no second')
        with self.assertRaisesRegex(botocore.exceptions.ClientError, 'IdempotentParameterMismatch'):
            run('t-1', 'us-east-1b')

        quotas = session.client('service-quotas', endpoint_url=self.emulator.url, config=config)
        pages = quotas.get_paginator('list_service_quotas').paginate(ServiceCode='ec2', PaginationConfig={'PageSize': 1})
        limits = {quota['QuotaName']: quota['Value'] for page in pages for quota in page['Quotas']}
        self.assertEqual(limits['Running On-Demand G and VT instances'], 4000)
        self.assertEqual(types[0]['VCpuInfo']['DefaultVCpus'], 4)

        def described():
            filters = [{'Name': 'tag:Name', 'Values': ['mine*']}]
            pages = ec2.get_paginator('describe_instances').paginate(Filters=filters, PaginationConfig={'PageSize': 5})
            return [i for page in pages for reservation in page['Reservations'] for i in reservation['Instances']]

        wait_for(lambda: described()[0]['State']['Name'] == 'running', 'it runs')
        running = ec2.describe_instances(Filters=[{'Name': 'instance-state-name', 'Values': ['running']}])
        cpus = running['Reservations'][0]['Instances'][0]['CpuOptions']
        self.assertEqual(cpus['CoreCount'] * cpus['ThreadsPerCore'], 4)
        self.assertRegex(described()[0]['PublicIpAddress'], r'^127\.')
        self.assertRegex(described()[0]['PrivateIpAddress'], r'^10\.')
        root, = ec2.describe_volumes(Filters=[{'Name': 'tag:Name', 'Values': ['root']}])['Volumes']
        attached, = root['Attachments']
        self.assertEqual((root['Size'], attached['InstanceId'], attached['Device'], attached['DeleteOnTermination']),
                         (40, machine['InstanceId'], machine['RootDeviceName'], True))
        self.check_role(machine['InstanceId'], config)
        volume = ec2.create_volume(AvailabilityZone='us-east-1a', Size=10, VolumeType='gp3')
        wait_for(lambda: ec2.describe_volumes()['Volumes'][0]['State'] == 'available', 'the volume is there')
        ec2.attach_volume(VolumeId=volume['VolumeId'], InstanceId=machine['InstanceId'], Device='/dev/sdf')
        wait_for(lambda: ec2.describe_volumes()['Volumes'][0]['Attachments'][0]['State'] == 'attached', 'attached')
        with self.assertRaisesRegex(botocore.exceptions.ClientError, 'VolumeInUse'):
            ec2.delete_volume(VolumeId=volume['VolumeId'])
        ec2.stop_instances(InstanceIds=[machine['InstanceId']])
        wait_for(lambda: described()[0]['State']['Name'] == 'stopped', 'it is stopped')
        ec2.detach_volume(VolumeId=volume['VolumeId'])
        ec2.start_instances(InstanceIds=[machine['InstanceId']])
        wait_for(lambda: described()[0]['State']['Name'] == 'running', 'it runs again')
        wait_for(lambda: ec2.describe_volumes()['Volumes'][0]['State'] == 'available', 'the volume is free')
        ec2.attach_volume(VolumeId=volume['VolumeId'], InstanceId=machine['InstanceId'], Device='/dev/sdf')
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
        self.assertEqual(wrong, [])
        self.assertEqual(asked, {
            'AttachVolume', 'CreateVolume', 'DeleteVolume', 'DescribeInstanceTypeOfferings', 'DescribeInstanceTypes',
            'DescribeInstances', 'DescribeSpotPriceHistory', 'DescribeVolumes', 'DetachVolume', 'GetCallerIdentity',
            'GetProducts', 'ListServiceQuotas', 'RunInstances', 'StartInstances', 'StopInstances', 'TerminateInstances'})

    def check_role(self, instance, config):
        """What an AWS machine is, and what its role may: as botocore asks for it."""
        number = int(instance.split('-')[1], 16)
        url = self.emulator.metadata(number) + '/'

        def get(path):
            request = urllib.request.Request(f'{url}latest/api/token', method='PUT',
                                             headers={'X-aws-ec2-metadata-token-ttl-seconds': '60'})
            with urllib.request.urlopen(request) as answer:
                token = answer.read().decode()
            request = urllib.request.Request(f'{url}latest/meta-data/{path}',
                                             headers={'X-aws-ec2-metadata-token': token})
            with urllib.request.urlopen(request) as answer:
                return answer.read().decode()

        self.assertEqual([get(path) for path in ('instance-id', 'instance-type', 'placement/availability-zone')],
                         [instance, 'g6.xlarge', 'us-east-1a'])
        self.assertEqual(botocore.utils.InstanceMetadataRegionFetcher(base_url=url).retrieve_region(), 'us-east-1')
        fetcher = botocore.utils.InstanceMetadataFetcher(base_url=url)
        self.assertEqual(fetcher.retrieve_iam_role_credentials(), {}, 'it has no role')
        self.emulator.say(f'grant {number}')
        key = fetcher.retrieve_iam_role_credentials()
        session = boto3.Session(key['access_key'], key['secret_key'], key['token'], region_name='us-east-1')
        client = {name: session.client(name, endpoint_url=self.emulator.url, config=config)
                  for name in ('ec2', 'sts', 'pricing')}
        self.assertEqual(client['ec2'].describe_instances()['Reservations'][0]['Instances'][0]['InstanceId'], instance)
        self.emulator.say('expire')
        for code, call in (('RequestExpired', client['ec2'].describe_instances),
                           ('ExpiredToken', client['sts'].get_caller_identity),
                           ('ExpiredTokenException', lambda: client['pricing'].get_products(ServiceCode='AmazonEC2'))):
            with self.assertRaisesRegex(botocore.exceptions.ClientError, rf'\({code}\)'):
                call()

    def test_aws_identities(self):
        config = botocore.config.Config(retries={'max_attempts': 1}, proxies={})
        session = boto3.Session(aws_access_key_id='AKIDEMULATOR', aws_secret_access_key='emulated',
                                region_name='us-east-1')
        asked, wrong = set(), []

        def hold(operation_model, response_dict, **_):
            asked.add(operation_model.name)
            wrong.extend(aws_misfits(operation_model, response_dict['status_code'], response_dict['body']))

        session.events.register('before-parse', hold)
        sts, sso, oidc = (session.client(name, endpoint_url=self.emulator.url, config=config)
                          for name in ('sts', 'sso', 'sso-oidc'))
        role = {'RoleArn': 'arn:aws:iam::123456789012:role/fleet', 'RoleSessionName': 'test'}

        def refuses(code, call, **parameters):
            with self.assertRaisesRegex(botocore.exceptions.ClientError, rf'\({code}\)'):
                call(**parameters)

        web = sts.assume_role_with_web_identity(**role, WebIdentityToken='emulated-web-identity')['Credentials']
        refuses('InvalidIdentityToken', sts.assume_role_with_web_identity, **role, WebIdentityToken='other')
        refuses('AccessDenied', sts.assume_role, **dict(role, RoleArn=role['RoleArn'] + '/refused'))
        refuses('ValidationError', sts.assume_role, **role, DurationSeconds=43201)
        by_web = boto3.Session(web['AccessKeyId'], web['SecretAccessKey'], web['SessionToken'],
                               region_name='us-east-1').client('sts', endpoint_url=self.emulator.url, config=config)
        assumed = by_web.assume_role(**role, DurationSeconds=900)['Credentials']
        self.assertAlmostEqual(assumed['Expiration'].timestamp() - time.time(), 900, delta=60)
        client = {'clientId': 'emulated', 'clientSecret': 'emulated', 'grantType': 'refresh_token'}
        token = oidc.create_token(**client, refreshToken='emulated-refresh')
        refuses('InvalidGrantException', oidc.create_token, **client, refreshToken='other')
        of_role = {'accountId': '123456789012', 'roleName': 'fleet'}
        portal = sso.get_role_credentials(**of_role, accessToken=token['accessToken'])['roleCredentials']
        refuses('UnauthorizedException', sso.get_role_credentials, **of_role, accessToken='other')
        fetcher = botocore.utils.ContainerMetadataFetcher(sleep=lambda _: None)
        task = fetcher.retrieve_full_uri(self.emulator.url + '/v2/credentials/task')
        pod = fetcher.retrieve_full_uri(self.emulator.url + '/v1/credentials', {'Authorization': 'emulated-pod'})
        with self.assertRaises(botocore.exceptions.MetadataRetrievalError):
            fetcher.retrieve_full_uri(self.emulator.url + '/v1/credentials')
        keys = [(key['AccessKeyId'], key['SecretAccessKey'], key['SessionToken']) for key in (web, assumed)]
        keys += [(key['AccessKeyId'], key['SecretAccessKey'], key['Token']) for key in (task, pod)]
        keys += [(portal['accessKeyId'], portal['secretAccessKey'], portal['sessionToken'])]
        self.assertEqual([id[len('ASIAEMULATOR'):] for id, _, _ in keys],
                         ['WEBFLEET', 'ROLEFLEETBYWEBFLEET', 'TASK', 'POD', 'SSOFLEET'])

        def machines(id, secret, token):
            of_key = boto3.Session(id, secret, token, region_name='us-east-1')
            client = of_key.client('ec2', endpoint_url=self.emulator.url, config=config)
            return client.describe_instances()['Reservations']

        for key in keys:
            self.assertEqual(machines(*key), [])
        refuses('RequestExpired', machines, id=keys[0][0], secret='emulated', token=keys[1][2])  # another one's
        self.emulator.say('expire')
        for id, secret, token in keys:
            refuses('RequestExpired', machines, id=id, secret=secret, token=token)
        self.assertEqual(wrong, [])
        self.assertEqual(asked, {'AssumeRole', 'AssumeRoleWithWebIdentity', 'CreateToken', 'GetRoleCredentials'})

    def test_hyperstack(self):
        configuration = hyperstack.Configuration(host=f'{self.emulator.url}/v1', api_key={'apiKey': 'key'})
        client = HyperstackClient(configuration)
        client.set_default_header('api_key', 'key')
        machines, volumes = hyperstack.VirtualMachineApi(client), hyperstack.VolumeApi(client)
        self.assertEqual(hyperstack.OrganizationApi(client).retrieve_organization_information().organization.id, 1)
        flavors = hyperstack.FlavorApi(client).list_flavors()
        self.assertEqual({(g.region_name, f.name, f.gpu_count, f.disk) for g in flavors.data for f in g.flavors},
                         {('CANADA-1', 'n3-L40x1', 1, 100), ('NORWAY-1', 'n3-L40x1', 1, 100)})
        stocks = hyperstack.StockApi(client).get_gpu_stock()
        self.assertEqual({s.region for s in stocks.stocks}, {'CANADA-1', 'NORWAY-1'})
        environments = hyperstack.EnvironmentApi(client)
        room = environments.get_environment_vm_quota(environments.list_environments().environments[0].id)
        self.assertEqual((room.current_vms, room.max_vms), (0, 1000))
        prices = hyperstack.PricebookApi(client).get_pricebook()
        self.assertEqual([(p.name, p.value) for p in prices], [('L40', 1)])
        payload = hyperstack.CreateInstancesPayload(name='mine', environment_name='default-CANADA-1',
                                                    image_name='Ubuntu', flavor_name='n3-L40x1', key_name='laptop', count=1,
                                                    assign_floating_ip=True, enable_port_randomization=False,
                                                    security_rules=[hyperstack.CreateSecurityRulePayload(
                                                        direction='ingress', ethertype='IPv4', protocol='tcp',
                                                        remote_ip_prefix='0.0.0.0/0', port_range_min=8500,
                                                        port_range_max=8500)],
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
        self.assertRegex(machines.get_vm(machine.id).instance.floating_ip, r'^127\.')
        self.assertRegex(machines.get_vm(machine.id).instance.fixed_ip, r'^10\.')
        volume = volumes.create_volume(hyperstack.CreateVolumePayload(
            name='weights', environment_name='default-CANADA-1', size=10, volume_type='Cloud-SSD')).volume
        wait_for(lambda: volumes.get_volume(volume.id).volume.status == 'available', 'the volume is there')
        attachments = hyperstack.VolumeAttachmentApi(client)
        attachments.attach_volumes_to_vm(machine.id, hyperstack.AttachVolumesPayload(volume_ids=[volume.id]))
        wait_for(lambda: volumes.get_volume(volume.id).volume.status == 'in-use', 'it is attached')
        self.assertEqual(volumes.get_volume(volume.id).volume.attachments[0].instance_id, machine.id)
        machines.stop_vm(machine.id)
        wait_for(lambda: status() == 'SHUTOFF', 'it is off')
        machines.start_vm(machine.id)
        wait_for(lambda: status() == 'ACTIVE', 'it is on')
        machines.hard_reboot_vm(machine.id)
        self.assertEqual(status(), 'ACTIVE')
        machines.hibernate_vm(machine.id)
        wait_for(lambda: status() == 'HIBERNATED', 'it is hibernated')
        events = hyperstack.BillingApi(client).get_vm_billing_events(machine.id).billing_events_history
        self.assertEqual([(e.event, e.price_per_hour) for e in events], [('ACTIVE', 1), ('HIBERNATED', 0)])
        self.assertLessEqual(events[0].start, events[1].start)  # whole seconds, and all of it may take one
        machines.restore_vm_from_hibernation(machine.id)
        wait_for(lambda: status() == 'ACTIVE', 'it is back')
        listed = machines.list_vms(page=1, page_size=10)
        self.assertEqual([(i.name, i.environment.region, i.flavor.disk) for i in listed.instances],
                         [('mine', 'CANADA-1', 100)])
        attachments.detach_volumes_from_vm(machine.id, hyperstack.DetachVolumesPayload(volume_ids=[volume.id]))
        wait_for(lambda: volumes.list_volumes().volumes[0].status == 'available', 'it is detached')
        volumes.delete_volume(volume.id)
        self.assertEqual({e.name for e in hyperstack.EnvironmentApi(client).list_environments().environments},
                         {'default-CANADA-1', 'default-NORWAY-1'})
        machines.delete_vm(machine.id)
        wait_for(lambda: not machines.list_vms().instances, 'it is gone')
        self.assertEqual(client.misfits, [])
        machine = '/core/virtual-machines/*'
        beside = {f'GET {machine}', f'GET {machine}/stop', f'GET {machine}/start', f'GET {machine}/hard-reboot',
                  'GET /core/volumes/*', 'GET /core/virtual-machines/name-availability/mine'}  # not the fleet's
        self.assertEqual(client.asked - beside, {
            'GET /auth/organizations', 'GET /core/environments', 'GET /core/environments/*/vm-quota',
            'GET /core/stocks', 'GET /core/flavors', 'GET /pricebook', 'GET /core/virtual-machines',
            'GET /core/volumes', 'GET /billing/billing/virtual-machine/*/billing-events',
            'POST /core/virtual-machines', 'POST /core/volumes', f'POST {machine}/attach-volumes',
            f'POST {machine}/detach-volumes', f'GET {machine}/hibernate', f'GET {machine}/hibernate-restore',
            f'DELETE {machine}', 'DELETE /core/volumes/*'})

    def test_google(self):
        documents = os.path.join(os.path.dirname(googleapiclient.__file__), 'discovery_cache', 'documents')
        described = {}
        for name in 'compute.v1', 'cloudbilling.v1':
            with open(os.path.join(documents, f'{name}.json'), encoding='utf-8') as file:
                described[name] = json.load(file)
        token = google.oauth2.credentials.Credentials(None, refresh_token='emulated', client_id='c', client_secret='s',
                                                      token_uri=f'{self.emulator.url}/token')

        def service(name, path):
            return googleapiclient.discovery.build_from_document(
                described[name], credentials=token, client_options={'api_endpoint': f'{self.emulator.url}/{path}'})

        compute = service('compute.v1', 'compute/v1/')
        place = {'project': 'p', 'zone': 'us-central1-a'}

        asked = set()

        def run(request, schema='Operation', name='compute.v1'):
            asked.add(request.methodId)
            answer = request.execute()
            self.assertEqual(list(google_misfits(described[name]['schemas'], {'$ref': schema}, answer)), [])
            return answer

        def done(request):
            operation = run(request)
            poll = compute.zoneOperations().get(**place, operation=operation['name'])
            wait_for(lambda: run(poll)['status'] == 'DONE', 'the operation is done')
            return run(poll)

        def instance():
            return run(compute.instances().get(**place, instance='mine'), 'Instance')

        def disk():
            return run(compute.disks().get(**place, disk='weights'), 'Disk')

        machine_type = run(compute.machineTypes().get(**place, machineType='g2-standard-4'), 'MachineType')
        self.assertEqual(machine_type['accelerators'][0]['guestAcceleratorCount'], 1)
        quotas = {q['metric']: q for q in run(compute.regions().get(project='p', region='us-central1'), 'Region')['quotas']}
        self.assertEqual((quotas['NVIDIA_L4_GPUS']['limit'], quotas['PREEMPTIBLE_NVIDIA_L4_GPUS']['usage']), (1000, 0))
        self.assertEqual(run(compute.projects().get(project='p'), 'Project')['quotas'][0]['metric'], 'GPUS_ALL_REGIONS')
        done(compute.disks().insert(**place, body={'name': 'weights', 'sizeGb': '10'},
                                    requestId='01234567-89ab-4def-8123-456789abcdef'))
        wait_for(lambda: disk()['status'] == 'READY', 'the disk is there')
        body = {'name': 'mine', 'machineType': 'zones/us-central1-a/machineTypes/g2-standard-4',
                'disks': [{'boot': True, 'initializeParams': {'diskSizeGb': '40'}},
                          {'source': 'projects/p/zones/us-central1-a/disks/weights', 'deviceName': 'weights'}],
                'scheduling': {'provisioningModel': 'SPOT'},
                'networkInterfaces': [{'accessConfigs': [{'type': 'ONE_TO_ONE_NAT', 'name': 'External NAT'}]}],
                'metadata': {'items': [{'key': 'startup-script', 'value': '#!/bin/sh\nexec sleep 1000\n'}]}}
        done(compute.instances().insert(**place, body=body, requestId='11234567-89ab-4def-8123-456789abcdef'))
        wait_for(lambda: instance()['status'] == 'RUNNING', 'it runs')
        self.assertEqual(instance()['scheduling']['provisioningModel'], 'SPOT')
        self.assertEqual([(d['boot'], d.get('diskSizeGb')) for d in instance()['disks']], [(True, '40'), (False, None)])
        self.assertRegex(instance()['networkInterfaces'][0]['accessConfigs'][0]['natIP'], r'^127\.')
        users = disk()['users']
        self.assertEqual([url.rsplit('/', 1)[1] for url in users], ['mine'])
        self.check_service_account(instance()['id'], described['compute.v1'])
        for what, schema in (compute.instances(), 'InstanceAggregatedList'), (compute.disks(), 'DiskAggregatedList'):
            self.assertIn('zones/us-central1-a', run(what.aggregatedList(project='p'), schema)['items'])
        with self.assertRaisesRegex(googleapiclient.errors.HttpError, 'exists already') as refused:
            compute.instances().insert(**place, body=body).execute()
        self.assertEqual(refused.exception.resp.status, 409)
        done(compute.instances().stop(**place, instance='mine'))
        wait_for(lambda: instance()['status'] == 'TERMINATED', 'it is stopped')
        self.emulator.say('stock gcp us-central1-a g2-standard-4 0')
        target = f'https://www.googleapis.com/compute/v1/projects/p/zones/{place["zone"]}/instances/mine'
        failed = done(compute.instances().start(**place, instance='mine'))
        self.assertEqual(failed['error']['errors'][0]['code'], 'ZONE_RESOURCE_POOL_EXHAUSTED')
        done(compute.instances().detachDisk(**place, instance='mine', deviceName='weights'))
        wait_for(lambda: not disk().get('users'), 'it is detached')
        done(compute.instances().attachDisk(**place, instance='mine', body={**body['disks'][1], 'autoDelete': False}))
        wait_for(lambda: disk().get('users') == users, 'it is attached again')
        done(compute.instances().delete(**place, instance='mine'))
        wait_for(lambda: not disk().get('users'), 'it is free')
        done(compute.disks().delete(**place, disk='weights'))
        operations, listing = [], compute.zoneOperations().list(
            **place, filter=f'targetLink="{target}"')
        while listing is not None:
            page = run(listing, 'OperationList')
            self.assertLess(len(page['items']), 5, 'it comes in pages')
            operations += page['items']
            listing = compute.zoneOperations().list_next(listing, page)
        operations.sort(key=lambda operation: operation['insertTime'])
        self.assertEqual([(o['operationType'], o['status'], 'error' in o) for o in operations],
                         [('insert', 'DONE', False), ('stop', 'DONE', False), ('start', 'DONE', True),
                          ('delete', 'DONE', False)])
        for operation in operations:
            self.assertEqual(operation['targetLink'], target)
            self.assertLessEqual(operation['startTime'], operation['endTime'])
        with self.assertRaisesRegex(googleapiclient.errors.HttpError, 'filter'):
            compute.zoneOperations().list(**place, filter='operationType != stop').execute()
        skus = run(service('cloudbilling.v1', '').services().skus().list(parent='services/6F81-5844-456A'),
                   'ListSkusResponse', 'cloudbilling.v1')
        self.assertIn('OnDemand', {sku['category']['usageType'] for sku in skus['skus']})
        self.assertEqual(asked - {'compute.instances.get', 'compute.disks.get'}, {  # the fleet asks for lists
            'cloudbilling.services.skus.list', 'compute.disks.aggregatedList', 'compute.disks.delete',
            'compute.disks.insert', 'compute.instances.aggregatedList', 'compute.instances.attachDisk',
            'compute.instances.delete', 'compute.instances.detachDisk', 'compute.instances.insert',
            'compute.instances.start', 'compute.instances.stop', 'compute.machineTypes.get', 'compute.projects.get',
            'compute.regions.get', 'compute.zoneOperations.get', 'compute.zoneOperations.list'})

    def check_service_account(self, number, description):
        """What a Google machine is, and what its service account may: as google-auth asks for it."""
        metadata = google.auth.compute_engine._metadata
        host = self.emulator.metadata(number).rsplit('/', 1)[1]
        request = google.auth.transport.requests.Request()
        self.enterContext(unittest.mock.patch.object(metadata, '_GCE_METADATA_HOST', host))
        self.enterContext(unittest.mock.patch.dict(os.environ, {'GCE_METADATA_IP': host}))
        self.assertTrue(metadata.ping(request))
        self.assertEqual(metadata.get_project_id(request), 'p')
        self.assertEqual([metadata.get(request, f'instance/{name}') for name in ('id', 'name', 'zone', 'preempted')],
                         [number, 'mine', 'projects/123456789012/zones/us-central1-a', 'FALSE'])
        self.assertEqual(metadata.get(request, 'instance/machine-type').rsplit('/', 1)[1], 'g2-standard-4')
        credentials = google.auth.compute_engine.Credentials()
        with self.assertRaises(google.auth.exceptions.RefreshError, msg='it has no service account'):
            credentials.refresh(request)
        self.emulator.say(f'grant {number}')
        credentials.refresh(request)
        self.assertRegex(credentials.service_account_email, r'@p\.iam\.gserviceaccount\.com$')
        compute = googleapiclient.discovery.build_from_document(
            description, credentials=google.oauth2.credentials.Credentials(credentials.token),
            client_options={'api_endpoint': f'{self.emulator.url}/compute/v1/'})
        asked = compute.instances().get(project='p', zone='us-central1-a', instance='mine')
        self.assertEqual(asked.execute()['id'], number)
        self.emulator.say('expire')
        with self.assertRaises((googleapiclient.errors.HttpError, google.auth.exceptions.RefreshError)):
            asked.execute()

    def check_identity(self, number, location):
        """What an Azure machine is, and what its managed identity may: as msal asks for it."""
        url = self.emulator.metadata(number)

        def get(path):
            request = urllib.request.Request(f'{url}/metadata/instance{path}', headers={'Metadata': 'true'})
            with urllib.request.urlopen(request) as answer:
                return answer.read().decode()

        compute = json.loads(get('?api-version=2021-02-01'))['compute']
        self.assertEqual([compute[name] for name in ('name', 'vmSize', 'location', 'zone', 'priority')],
                         ['mine', 'Standard_NC4as_T4_v3', location, '1', 'Spot'])
        self.assertEqual(get('/compute/name?api-version=2021-02-01&format=text'), 'mine')
        self.enterContext(unittest.mock.patch.dict(os.environ, {'AZURE_POD_IDENTITY_AUTHORITY_HOST': url}))
        identity = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=requests.Session())
        resource = 'https://management.azure.com/'
        self.assertIn('Identity not found', str(identity.acquire_token_for_client(resource=resource)))
        self.emulator.say(f'grant {number}')
        token = identity.acquire_token_for_client(resource=resource)
        self.assertLessEqual(token['expires_in'], 3599)
        machines = f'{self.emulator.url}/subscriptions/s/providers/Microsoft.Compute/virtualMachines'

        def status():
            return requests.get(machines, params={'api-version': '2024-07-01'},
                                headers={'Authorization': f'Bearer {token["access_token"]}'}).status_code

        self.assertEqual(status(), 200)
        self.emulator.say('expire')
        self.assertEqual(status(), 401)

    def test_azure(self):
        form = {'grant_type': 'client_credentials', 'client_id': 'c', 'client_secret': 'emulated',
                'scope': 'https://management.azure.com/.default'}

        def bearer():
            answer = requests.post(f'{self.emulator.url}/t/oauth2/v2.0/token', data=form)
            return f'Bearer {answer.json()["access_token"]}'

        credential = azure.core.credentials.AzureKeyCredential(bearer())
        key = azure.core.pipeline.policies.AzureKeyCredentialPolicy(credential, 'Authorization')
        asked = set()

        def hold(response):
            path = response.http_request.url.split('?')[0].removeprefix(self.emulator.url)
            kinds = 'virtualMachines|disks|locations|operations|networkInterfaces|publicIPAddresses'
            path = re.sub(rf'/({kinds})/[^/]+', r'/\1/*', path)
            path = path.replace('/subscriptions/s/resourceGroups/g/providers/Microsoft.', 'GROUP/')
            asked.add(f'{response.http_request.method} {path}')

        def client(kind):
            return kind(key, 's', base_url=self.emulator.url, authentication_policy=key, polling_interval=0.02,
                        raw_response_hook=hold)

        compute = client(azure.mgmt.compute.ComputeManagementClient)
        network = client(azure.mgmt.network.NetworkManagementClient)

        def known(model):
            self.assertEqual(list(azure_misfits(model)), [])
            return model

        def machine():
            return known(compute.virtual_machines.get('g', 'mine', expand='instanceView'))

        def power():
            return machine().properties.instance_view.statuses[-1].code

        disk = known(compute.disks.begin_create_or_update('g', 'weights', {
            'location': 'eastus', 'zones': ['1'], 'sku': {'name': 'Premium_LRS'},
            'properties': {'creationData': {'createOption': 'Empty'}, 'diskSizeGB': 10}}).result(DEADLINE_S))
        wait_for(lambda: known(compute.disks.get('g', 'weights')).properties.provisioning_state == 'Succeeded', 'made')
        sizes = {sku.name: {c.name: c.value for c in known(sku).capabilities}
                 for sku in compute.resource_skus.list(filter="location eq 'eastus'")}
        self.assertEqual(sizes['Standard_NC4as_T4_v3']['GPUs'], '1')
        usages = {known(usage).name.value: usage for usage in compute.usage.list('eastus')}
        self.assertEqual(usages['standardNCASv3_T4Family'].limit, 4000)
        self.assertIn('lowPriorityCores', usages)
        script = base64.b64encode(b'#!/bin/sh\nexec sleep 1000\n').decode()
        body = {'location': 'eastus', 'zones': ['1'], 'properties': {
            'hardwareProfile': {'vmSize': 'Standard_NC4as_T4_v3'}, 'priority': 'Spot', 'evictionPolicy': 'Deallocate',
            'osProfile': {'customData': script},
            'networkProfile': {'networkApiVersion': '2022-11-01', 'networkInterfaceConfigurations': [{
                'name': 'mine', 'properties': {'primary': True, 'deleteOption': 'Delete', 'ipConfigurations': [{
                    'name': 'ip', 'properties': {'primary': True, 'publicIPAddressConfiguration': {
                        'name': 'mine', 'sku': {'name': 'Standard'}, 'properties': {
                            'deleteOption': 'Delete', 'publicIPAllocationMethod': 'Static'}}}}]}}]},
            'storageProfile': {'osDisk': {'createOption': 'FromImage', 'diskSizeGB': 40},
                               'dataDisks': [{'lun': 0, 'createOption': 'Attach', 'managedDisk': {'id': disk.id}}]}}}
        made = known(compute.virtual_machines.begin_create_or_update('g', 'mine', body).result(DEADLINE_S))
        self.assertEqual(made.properties.priority, 'Spot')
        wait_for(lambda: power() == 'PowerState/running', 'it runs')
        self.check_identity(made.properties.vm_id, 'eastus')
        credential.update(bearer())
        self.assertTrue(known(compute.disks.get('g', 'weights')).managed_by.endswith('/virtualMachines/mine'))
        nics = [known(nic) for nic in network.network_interfaces.list('g')]
        self.assertTrue(nics[0].properties.virtual_machine.id.endswith('/mine'))
        self.assertRegex(nics[0].properties.ip_configurations[0].properties.private_ip_address, r'^10\.')
        address, = [known(row) for row in network.public_ip_addresses.list('g')]
        self.assertEqual(nics[0].properties.ip_configurations[0].properties.public_ip_address.id, address.id)
        self.assertEqual(address.properties.ip_configuration.id, f'{nics[0].id}/ipConfigurations/ip')
        self.assertRegex(address.properties.ip_address, r'^127\.')
        self.assertEqual(machine().properties.storage_profile.os_disk.disk_size_gb, 40)
        compute.virtual_machines.begin_deallocate('g', 'mine').result(DEADLINE_S)
        wait_for(lambda: power() == 'PowerState/deallocated', 'it is deallocated')
        boot = machine().properties.storage_profile.os_disk.managed_disk.id
        sizes = {known(row).id: (row.properties.os_type, row.properties.disk_size_gb, row.managed_by == made.id)
                 for row in compute.disks.list_by_resource_group('g')}
        self.assertEqual(sizes, {disk.id: (None, 10, True), boot: ('Linux', 40, True)})
        compute.virtual_machines.begin_attach_detach_data_disks('g', 'mine', {
            'dataDisksToDetach': [{'diskId': disk.id, 'detachOption': 'ForceDetach'}]}).result(DEADLINE_S)
        wait_for(lambda: not known(compute.disks.get('g', 'weights')).managed_by, 'it is detached')
        self.emulator.say('stock azure eastus-1 Standard_NC4as_T4_v3 0')
        with self.assertRaisesRegex(azure.core.exceptions.HttpResponseError, 'AllocationFailed'):
            compute.virtual_machines.begin_start('g', 'mine').result(DEADLINE_S)
        bare = {**body, 'properties': {**body['properties'], 'storageProfile': {}}}
        second = compute.virtual_machines.begin_create_or_update('g', 'second', bare)
        taken_on = second.polling_method()._initial_response.http_response.json()
        self.assertEqual((taken_on['name'], taken_on['properties']['provisioningState']), ('second', 'Creating'))
        with self.assertRaisesRegex(azure.core.exceptions.HttpResponseError, 'AllocationFailed'):
            second.result(DEADLINE_S)
        self.assertEqual(known(compute.virtual_machines.get('g', 'second')).properties.provisioning_state, 'Failed')
        for name in 'mine', 'second':
            deletion = compute.virtual_machines.begin_delete('g', name)
            deletion.result(DEADLINE_S)
            operation = deletion.polling_method()._pipeline_response.http_response.json()
            self.assertEqual(operation['status'], 'Succeeded')
            self.assertLessEqual(operation['startTime'], operation['endTime'])
        wait_for(lambda: not list(compute.virtual_machines.list('g')), 'they are gone')
        self.assertEqual([*network.network_interfaces.list('g'), *network.public_ip_addresses.list('g')], [])
        self.emulator.say('stock azure eastus-1 Standard_NC4as_T4_v3 1')
        self.emulator.say('habit keeps_addresses 1')
        compute.virtual_machines.begin_create_or_update('g', 'third', bare).result(DEADLINE_S)
        self.assertEqual([known(row).name for row in compute.virtual_machines.list_all(status_only='true')], ['third'])
        compute.virtual_machines.begin_delete('g', 'third').result(DEADLINE_S)
        for left in network.network_interfaces, network.public_ip_addresses:  # an interface has its address
            for row in left.list('g'):
                left.begin_delete('g', row.name).result(DEADLINE_S)
            self.assertEqual([*left.list('g')], [])
        compute.disks.begin_delete('g', 'weights').result(DEADLINE_S)
        self.assertEqual([known(row) for row in compute.disks.list_by_resource_group('g')], [])
        row = '/virtualMachines/*'
        self.assertEqual(asked - {f'GET GROUP/Compute{row}', 'GET GROUP/Compute/disks/*'}, {  # the fleet asks for lists
            'GET /subscriptions/s/providers/Microsoft.Compute/locations/*/operations/*',
            'GET /subscriptions/s/providers/Microsoft.Compute/locations/*/usages',
            'GET /subscriptions/s/providers/Microsoft.Compute/skus',
            'GET /subscriptions/s/providers/Microsoft.Compute/virtualMachines',
            'GET GROUP/Compute/virtualMachines', f'PUT GROUP/Compute{row}', f'DELETE GROUP/Compute{row}',
            f'POST GROUP/Compute{row}/start', f'POST GROUP/Compute{row}/deallocate',
            f'POST GROUP/Compute{row}/attachDetachDataDisks', 'GET GROUP/Compute/disks', 'PUT GROUP/Compute/disks/*',
            'DELETE GROUP/Compute/disks/*', 'GET GROUP/Network/networkInterfaces',
            'DELETE GROUP/Network/networkInterfaces/*', 'GET GROUP/Network/publicIPAddresses',
            'DELETE GROUP/Network/publicIPAddresses/*'})


if __name__ == '__main__':
    EMULATOR = os.path.abspath(sys.argv[1])
    unittest.main(argv=sys.argv[:1])
