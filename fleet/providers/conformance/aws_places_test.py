"""botocore and fleet/providers/aws find the same AWS key in the same environment and files, or neither finds one.

aws_places_test.py EMULATOR AWS_KEY
"""

import contextlib
import datetime
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest
import unittest.mock

HOME = pathlib.Path(os.environ['TEST_TMPDIR'], 'home')
os.environ['HOME'] = str(HOME)  # before botocore, which asks once

import boto3  # noqa: E402
import botocore.config  # noqa: E402
import botocore.credentials  # noqa: E402
import botocore.exceptions  # noqa: E402
import botocore.session  # noqa: E402
import botocore.utils  # noqa: E402

from fleet.providers.conformance.emulator import Emulator, wait_for  # noqa: E402

NOTHING = None  # what is found where nothing is, or what should be there is broken
SESSION = '\n[sso-session s]\nsso_start_url=https://start\nsso_region=us-east-1\n'


def after(**time):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**time)).strftime('%Y-%m-%dT%H:%M:%SZ')


def key(name):
    """Settings of a key of its own."""
    return f'aws_access_key_id=AKIDEMULATOR{name}\naws_secret_access_key=emulated\n'


def role(name, *more):
    return '\n'.join([f'role_arn={arn(name)}', *more, ''])


def arn(name):
    return f'arn:aws:iam::123456789012:role/{name}'


def sso(name, *more):
    return '\n'.join([f'sso_role_name={name}', 'sso_account_id=123456789012', *more, ''])


def env(name='ENV', **more):
    return {'AWS_ACCESS_KEY_ID': f'AKIDEMULATOR{name}', 'AWS_SECRET_ACCESS_KEY': 'emulated', **more}


def web(name='env', file='web'):
    return {'AWS_WEB_IDENTITY_TOKEN_FILE': str(HOME / file), 'AWS_ROLE_ARN': arn(name)}


def process(answer, before=''):
    """A setting whose program writes that."""
    (HOME / 'answer').write_text(answer if isinstance(answer, str) else json.dumps(answer))
    return f"credential_process=/bin/sh -c '{before}cat \"$1\"' sh \"{HOME}/answer\"\n"


def written(name='PROC', **more):
    return {'Version': 1, 'AccessKeyId': f'AKIDEMULATOR{name}', 'SecretAccessKey': 'emulated', **more}


def sso_file(name, token='emulated-sso', expires=None, **more):
    text = json.dumps({'accessToken': token, 'expiresAt': expires or after(hours=1), **more})
    (HOME / '.aws/sso/cache' / f'{hashlib.sha1(name.encode()).hexdigest()}.json').write_text(text)


RENEWAL = {'clientId': 'emulated', 'clientSecret': 'emulated', 'refreshToken': 'emulated-refresh'}


class AwsPlacesTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.emulator = Emulator(EMULATOR)
        cls.addClassCleanup(cls.emulator.close)
        cls.ecs = {'AWS_CONTAINER_CREDENTIALS_FULL_URI': cls.emulator.url + '/v2/credentials/task'}
        cls.eks = {'AWS_CONTAINER_CREDENTIALS_FULL_URI': cls.emulator.url + '/v1/credentials'}
        cls.ec2 = {'AWS_EC2_METADATA_SERVICE_ENDPOINT': cls.instance(), 'AWS_EC2_METADATA_DISABLED': 'false'}

    @classmethod
    def instance(cls):
        """The metadata service of one that has a role."""
        session = boto3.Session('AKIDEMULATOR', 'emulated', region_name='us-east-1')
        client = session.client('ec2', endpoint_url=cls.emulator.url, config=botocore.config.Config(proxies={}))
        client.run_instances(ImageId='ami-1', InstanceType='g6.xlarge', MinCount=1, MaxCount=1, ClientToken='t',
                             UserData='#!/bin/sh\nexec sleep 1000\n', Placement={'AvailabilityZone': 'us-east-1a'})
        running = [{'Name': 'instance-state-name', 'Values': ['running']}]
        wait_for(lambda: client.describe_instances(Filters=running)['Reservations'], 'it runs')
        cls.emulator.say('grant 1')
        return cls.emulator.metadata(1) + '/'

    def setUp(self):
        shutil.rmtree(HOME, ignore_errors=True)
        (HOME / '.aws/sso/cache').mkdir(parents=True)
        (HOME / 'web').write_text('emulated-web-identity')
        (HOME / 'expired').write_text('expired')
        (HOME / 'pod').write_text('emulated-pod')
        (HOME / 'lines').write_text('emulated-pod\nX-Other: 1')

    def of_botocore(self):
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                found = botocore.session.Session().get_credentials()
                return (found and found.get_frozen_credentials().access_key, '')
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError, RuntimeError,
                    ValueError, LookupError) as error:
                return NOTHING, f'{type(error).__name__}: {error}'

    def check(self, want, environment=None, config='', credentials=''):
        """want: the end of the key's id."""
        for name, text in (('config', config), ('credentials', credentials)):
            (HOME / '.aws' / name).write_text(text)
        cache = {path: path.read_text() for path in (HOME / '.aws/sso/cache').iterdir()}
        variables = {'HOME': str(HOME), 'PATH': os.environ['PATH'], 'AWS_ENDPOINT_URL': self.emulator.url,
                     'AWS_DEFAULT_REGION': 'us-east-1', 'AWS_MAX_ATTEMPTS': '1', 'AWS_EC2_METADATA_DISABLED': 'true',
                     'BOTO_CONFIG': '/nowhere', **(environment or {})}
        with unittest.mock.patch.dict(os.environ, variables, clear=True), \
                unittest.mock.patch.object(botocore.utils.ContainerMetadataFetcher, 'SLEEP_TIME', 0):
            theirs, why = self.of_botocore()
        for path, text in cache.items():  # as before a renewal
            path.write_text(text)
        run = subprocess.run([AWS_KEY], env=variables, capture_output=True, text=True, timeout=60)
        ours = run.stdout.strip() or NOTHING
        self.assertEqual(run.returncode, 1 if ours is NOTHING else 0, run.stderr)
        if ours is NOTHING:
            self.assertRegex(run.stderr, '^UNAUTHENTICATED: no AWS key from ')
        wanted = want if want is NOTHING or want.startswith(('AKID', 'ASIA')) else f'AKIDEMULATOR{want}'
        message = f'{environment}\n{config}\n{credentials}\n{why}\n{run.stderr}'
        self.assertEqual((theirs, ours), (wanted, wanted), message)

    def test_environment(self):
        files = {'config': f'[default]\n{role("r", "source_profile=s")}\n[profile s]\n{key("S")}',
                 'credentials': f'[default]\n{key("SHARED")}'}
        self.check(NOTHING)
        self.check('ENV', env())
        self.check('ENV', {**env(), **web(), **self.ecs, **self.ec2}, **files)
        self.check('ENV', env(AWS_CREDENTIAL_EXPIRATION=after(hours=1)))
        self.check(NOTHING, env(AWS_CREDENTIAL_EXPIRATION=after(hours=-1)), **files)
        self.check(NOTHING, env(AWS_CREDENTIAL_EXPIRATION='soon'), **files)
        self.check(NOTHING, {'AWS_ACCESS_KEY_ID': 'A'}, credentials=files['credentials'])
        self.check('SHARED', {'AWS_SECRET_ACCESS_KEY': 'A'}, credentials=files['credentials'])
        for broken in ({'config': 'x'}, {'credentials': '[default]\nx\n'}, {'config': '[default]\n[default]\n'},
                       {'config': '[default]\na=1\nA=2\n'}, {'credentials': '[default]\ns3 =\n  x\n'}):
            self.check(NOTHING, env(), **broken)
        self.check(NOTHING, env(AWS_PROFILE='none'))
        self.check('ENV', env(AWS_CONFIG_FILE='/nowhere', AWS_SHARED_CREDENTIALS_FILE=str(HOME)))

    def test_files(self):
        default, named = f'[default]\n{key("DEFAULT")}', f'[profile p]\n{key("P")}'
        self.check('DEFAULT', config=default)
        self.check('SHARED', config=default, credentials=f'[default]\n{key("SHARED")}')
        self.check(NOTHING, config=default, credentials='[default]\naws_access_key_id=A\n')
        self.check('DEFAULT', config=default, credentials='[default]\naws_secret_access_key=A\n')
        self.check('P', {'AWS_PROFILE': 'p'}, config=default + named)
        self.check('P', {'AWS_PROFILE': 'default', 'AWS_DEFAULT_PROFILE': 'p'}, config=default + named)
        self.check(NOTHING, {'AWS_PROFILE': 'q'}, config=default + named)
        self.check(NOTHING, {'AWS_PROFILE': 'p'}, config=f'[p]\n{key("P")}')
        self.check('P', {'AWS_PROFILE': 'p'}, credentials=f'[p]\n{key("P")}')
        self.check(NOTHING, {'AWS_PROFILE': 'p'}, credentials=named)
        self.check('Q', {'AWS_PROFILE': 'p q'}, config=f'[profile "p q"]\n{key("Q")}')
        self.check(NOTHING, {'AWS_PROFILE': 'p q'}, config=f'[profile p q]\n{key("Q")}')
        self.check('Q', config=f'[default]\n{key("DEFAULT")}[profile default]\n{key("Q")}')
        self.check('ALL', config=f'[DEFAULT]\n{key("ALL")}[default]\nregion=x\n')
        self.check('I', credentials='; x\n[default]\n  # x\n  AWS_ACCESS_KEY_ID: AKIDEMULATORI\n\n'
                                    '  aws_secret_access_key = e=m\n  s3 =\n    a = b\n')
        self.check(NOTHING, credentials='[default]\naws_access_key_id=A\n  aws_secret_access_key=B\n')
        self.check('DEFAULT', {'AWS_CONFIG_FILE': str(HOME / '.aws/credentials'),
                               'AWS_SHARED_CREDENTIALS_FILE': '~/.aws/config'}, config=default)

    def test_web_identity(self):
        shared = f'[default]\n{key("SHARED")}'
        self.check('ASIAEMULATORWEBENV', web())
        self.check('ASIAEMULATORWEBENV', {**web(), **self.ecs, 'AWS_ROLE_SESSION_NAME': 'mine'}, credentials=shared)
        self.check('ASIAEMULATORROLERBYS', web(), f'[default]\n{role("r", "source_profile=s")}[profile s]\n{key("S")}')
        for broken in ({'AWS_WEB_IDENTITY_TOKEN_FILE': str(HOME / 'web')}, web(file='none'), web(file='expired'),
                       web(file='pod'), web('refused'), {**web(), 'AWS_ROLE_ARN': 'x'},
                       {**web(), 'AWS_ROLE_SESSION_NAME': 'a b'}):
            self.check(NOTHING, broken, credentials=shared)
        self.check('SHARED', {'AWS_ROLE_ARN': arn('env')}, credentials=shared)
        of_profile = f'[default]\n{role("prof", f"web_identity_token_file={HOME}/web")}'
        self.check('ASIAEMULATORWEBPROF', config=of_profile, credentials=shared)
        self.check('ASIAEMULATORWEBENV', {'AWS_ROLE_ARN': arn('env')}, config=of_profile)
        self.check('ASIAEMULATORWEBPROF', {'AWS_WEB_IDENTITY_TOKEN_FILE': str(HOME / 'web')},
                   config=of_profile.replace('/web', '/none'))
        self.check(NOTHING, config=of_profile.replace('/web', '/none'), credentials=shared)
        self.check(NOTHING, config=f'[default]\nweb_identity_token_file={HOME}/web\n', credentials=shared)

    def test_roles(self):
        source, static = 'source_profile=s', f'[profile s]\n{key("S")}'

        def check(want, settings, more=static, environment=None, credentials=''):
            self.check(want, {'AWS_PROFILE': 'p', **(environment or {})}, f'[profile p]\n{settings}{more}', credentials)

        check('ASIAEMULATORROLERBYS', role('r', source))
        check('ASIAEMULATORROLERBYC', role('r', source), credentials=f'[s]\n{key("C")}')
        check('ASIAEMULATORROLERBYS', role('r', source, 'role_session_name=mine', 'duration_seconds=900'))
        check('ASIAEMULATORROLERBYS', role('r', source, 'duration_seconds=long'))
        check('ASIAEMULATORROLERBYS', role('r', source), credentials=f'[p]\n{key("P")}')
        check('ASIAEMULATORROLERBYP', role('r', 'source_profile=p'), credentials=f'[p]\n{key("P")}')
        check('ASIAEMULATORROLEPARTNERBYS', role('partner', source, 'external_id=emulated'))
        for broken in (role('partner', source), role('partner', source, 'external_id=x'), role('refused', source),
                       role('r'), role('r', source, 'credential_source=Environment'), role('r', 'source_profile=none'),
                       role('r', source, 'duration_seconds=1'), role('r', source, 'role_session_name=a b'),
                       role('r', 'source_profile=p'), role('r', 'credential_source=environment'),
                       role('r', 'credential_source=EcsContainer'), role('r', 'credential_source=Ec2InstanceMetadata'),
                       role('r', 'credential_source=Environment'), 'role_arn=x\nsource_profile=s\n'):
            check(NOTHING, broken, environment={**web(), 'AWS_SECRET_ACCESS_KEY': 'x'})
        check('ENV', role('r', 'credential_source=Environment'), environment=env())
        check('ASIAEMULATORROLERBYTASK', role('r', 'credential_source=EcsContainer'), environment=self.ecs)
        check('ASIAEMULATORROLERBY', role('r', 'credential_source=Ec2InstanceMetadata'), environment=self.ec2)
        deep = f'[profile s]\n{role("s", "source_profile=t")}[profile t]\n'
        check('ASIAEMULATORROLERBYROLESBYT', role('r', source), deep + key('T'))
        check('ASIAEMULATORROLERBYROLESBYTASK', role('r', source),
              f'[profile s]\n{role("s", "credential_source=EcsContainer")}', self.ecs)
        check(NOTHING, role('r', source), deep + role('t', 'source_profile=p'))
        check(NOTHING, role('r', source), deep + role('t', 'source_profile=t'))
        check(NOTHING, role('r', source), deep + 'region=x\n', self.ecs)
        check(NOTHING, role('r', source), '[profile s]\naws_access_key_id=A\n', self.ecs)
        check('ASIAEMULATORROLERBYS', role('r', source), f'[profile s]\n{key("S")}{role("s", "source_profile=t")}')
        web_file = f'web_identity_token_file={HOME}/web'
        check('ASIAEMULATORROLERBYWEBS', role('r', source), f'[profile s]\n{role("s", web_file)}', web())
        sso_file('s')
        check('ASIAEMULATORROLERBYSSOS', role('r', source), f'[profile s]\n{sso("s", "sso_session=s")}{SESSION}')
        check('ASIAEMULATORROLERBYPROC', role('r', source), f'[profile s]\n{process(written())}')

    def test_sso(self):
        def check(want, settings='sso_session=s', session=SESSION, **more):
            self.check(want, config=f'[default]\n{sso("r", settings)}{session}', **more)

        check(NOTHING)
        check(NOTHING, environment=self.ecs, credentials=f'[default]\n{key("SHARED")}')
        sso_file('s')
        sso_file('https://start', expires=after(hours=1).replace('Z', 'UTC'))
        check('ASIAEMULATORSSOR')
        check('ASIAEMULATORSSOR', environment=self.ecs, credentials=f'[default]\n{key("SHARED")}')
        check('ASIAEMULATORSSOR', 'sso_start_url=https://start\nsso_region=us-east-1', '')
        check('ASIAEMULATORSSOR', 'sso_session=s\nsso_start_url=https://start')
        check('ASIAEMULATORWEBENV', environment=web())
        for settings, session in (('sso_session=t', SESSION), ('sso_session=s\nsso_region=x', SESSION),
                                  ('sso_session=s', '\n[sso-session s]\nsso_start_url=https://start\n'),
                                  ('sso_session=s\nsso_region=us-east-1', '\n[sso-session s]\nsso_start_url=u\n'),
                                  ('sso_start_url=https://start', ''), ('sso_session=s', '')):
            check(NOTHING, settings, session, environment=self.ecs)
        self.check('SHARED', config=f'[default]\nsso_session=s\n{SESSION}', credentials=f'[default]\n{key("SHARED")}')
        self.check(NOTHING, config=f'[default]\nsso_session=s\nsso_account_id=123456789012\n{SESSION}')
        self.check(NOTHING, config=f'[default]\n{sso("refused", "sso_session=s")}{SESSION}')
        past, later = after(hours=-1), after(days=30)
        for token in ({'token': 'other'}, {'expires': past}, {'expires': past, **RENEWAL},
                      {'expires': past, **RENEWAL, 'registrationExpiresAt': past},
                      {'expires': past, **RENEWAL, 'registrationExpiresAt': later, 'refreshToken': 'other'}):
            sso_file('s', **token)
            check(NOTHING, environment=self.ecs)
        sso_file('s', expires=past, **RENEWAL, registrationExpiresAt=later)
        check('ASIAEMULATORSSOR')
        sso_file('s', expires=after(minutes=4), **{**RENEWAL, 'clientSecret': 'other'}, registrationExpiresAt=later)
        check('ASIAEMULATORSSOR')
        sso_file('https://start', expires=past, **RENEWAL, registrationExpiresAt=later)
        check(NOTHING, 'sso_start_url=https://start\nsso_region=us-east-1', '')
        (HOME / '.aws/sso/cache' / f'{hashlib.sha1(b"s").hexdigest()}.json').write_text('{"accessToken": ')
        check(NOTHING)

    def test_endpoints(self):
        url, nowhere = self.emulator.url, {'AWS_ENDPOINT_URL': ''}
        roles = role('r', 'source_profile=s')
        static = f'\n[profile s]\n{key("S")}'
        sso_file('s', expires=after(hours=-1), **RENEWAL, registrationExpiresAt=after(days=1))
        wrong = 'http://127.0.0.1:1'

        def services(*names):
            return '\n[services t]\n' + ''.join(f'{name} =\n  endpoint_url = {url}/\n' for name in names)

        for environment, settings in (({'AWS_ENDPOINT_URL': wrong, 'AWS_ENDPOINT_URL_STS': url}, ''),
                                      (nowhere, f'endpoint_url = {url}'),
                                      (nowhere, f'endpoint_url = {wrong}\nservices = t{services("sts")}'),
                                      (nowhere, f'endpoint_url = {url}\nservices = t{services("sso")}'),
                                      ({'AWS_ENDPOINT_URL_STS': url}, f'endpoint_url = {wrong}\nservices = none')):
            self.check('ASIAEMULATORROLERBYS', environment, f'[default]\n{roles}{settings}{static}')
        self.check(NOTHING, nowhere, f'[default]\n{roles}services = none{static}')
        every = {'AWS_ENDPOINT_URL': wrong, 'AWS_ENDPOINT_URL_SSO': url, 'AWS_ENDPOINT_URL_SSO_OIDC': url}
        of_sso = sso('r', 'sso_session=s')
        self.check('ASIAEMULATORSSOR', every, f'[default]\n{of_sso}{SESSION}')
        self.check('ASIAEMULATORSSOR', nowhere,
                   f'[default]\n{of_sso}services=t\n{services("sso", "sso_oidc")}{SESSION}')

    def test_process(self):
        def check(want, settings, **more):
            self.check(want, config=f'[default]\n{settings}', **more)

        check('PROC', process(written()))
        check('PROC', process(written(SessionToken='t', Expiration=after(hours=1))) + key('CONFIG'))
        check('PROC', process(written()), environment=self.ecs)
        check('SHARED', process(written()), credentials=f'[default]\n{key("SHARED")}')
        check('ASIAEMULATORWEBENV', process(written()), environment=web())
        for answer in ('', 'x', '{}', written(Version=2), {'Version': 1, 'AccessKeyId': 'A'},
                       written(Expiration=after(hours=-1)), written(Expiration='soon')):
            check(NOTHING, process(answer), environment=self.ecs)
        check(NOTHING, process(written(), 'exit 3; '), environment=self.ecs)
        check(NOTHING, 'credential_process=/nowhere/program\n' + key('CONFIG'))
        check(NOTHING, "credential_process='open\n" + key('CONFIG'))
        check(NOTHING, 'login_session=arn:aws:iam::1:user/u\n' + process(written()))

    def test_container_and_instance(self):
        pod = {'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'emulated-pod'}
        of_file = {'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': str(HOME / 'pod')}
        self.check('ASIAEMULATORTASK', {**self.ecs, **self.ec2})
        self.check('ASIAEMULATORPOD', {**self.eks, **pod})
        self.check('ASIAEMULATORPOD', {**self.eks, **of_file, 'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'other'})
        for broken in ({}, {'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'other'},
                       {**pod, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': str(HOME / 'none')},
                       {**pod, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': str(HOME / 'lines')},
                       {**pod, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': 'http://example.invalid/'},
                       {**pod, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': 'http://169.254.170.3/'},
                       {**pod, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': 'http://[fd00:ec2::24]/'},
                       {**pod, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': self.emulator.url + '/nowhere'}):
            self.check(NOTHING, {**self.eks, **self.ec2, **broken})
        self.check('ASIAEMULATOR', self.ec2)
        self.check('SHARED', self.ec2, credentials=f'[default]\n{key("SHARED")}')
        self.check('ASIAEMULATOR', self.ec2, config='[default]\nregion=us-east-1\n')
        self.check(NOTHING, {**self.ec2, 'AWS_EC2_METADATA_DISABLED': 'True'})
        self.check(NOTHING, {**self.ec2, 'AWS_EC2_METADATA_SERVICE_ENDPOINT': 'http://127.0.0.1:1'})


if __name__ == '__main__':
    EMULATOR, AWS_KEY = (os.path.abspath(path) for path in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1])
