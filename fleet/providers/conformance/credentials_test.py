"""In one environment the clouds' own libraries and this project's resolver are the same, or both are nobody.

credentials_test.py EMULATOR WHOSE_TOKEN
"""

import base64
import contextlib
import datetime
import http.server
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import warnings

import google.auth
import google.auth.compute_engine._metadata
import google.auth.exceptions
import google.auth.iam
import google.auth.transport.requests
import jwt
import msal
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
AUDIENCE = '//iam.googleapis.com/workload/pool'
OF_JWT = 'urn:ietf:params:oauth:token-type:jwt'
OF_AWS = 'urn:ietf:params:aws:token-type:aws4_request'
ACCOUNT = 'fleet@p.iam.gserviceaccount.com'
NOBODY = None  # both have to fail
LOGIN = 'login.emulated.test'


class Identity:
    """A key, and its certificate as a text."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'emulated')])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                            .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
                            .sign(self.key, hashes.SHA256()))
        self.certificate_pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def pem(self, password=None):
        encryption = (serialization.BestAvailableEncryption(password.encode()) if password
                      else serialization.NoEncryption())
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      encryption).decode()

    def sign(self, claims):
        now = int(time.time())
        return jwt.encode({'iat': now, 'exp': now + 600, **claims}, self.key, 'RS256')


class Answers(http.server.BaseHTTPRequestHandler):
    """GET and PUT of what `answers` of the server has: a path's headers that have to be there, and its body."""

    def do_GET(self):
        wanted, body = self.server.answers.get(self.path, (None, ''))
        found = wanted is not None and all(self.headers.get(name) == value for name, value in wanted.items())
        self.send_response(200 if found else 404)
        self.send_header('Metadata-Flavor', 'Google')
        self.send_header('Content-Type', 'application/json' if body.startswith('{') else 'text/plain')
        self.end_headers()
        self.wfile.write(body.encode() if found else b'')

    do_PUT = do_GET

    def log_message(self, *_):
        pass


def whose(token):
    text = token.split('.')[1]
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4)).decode()


class CredentialsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(dir=os.environ['TEST_TMPDIR'])
        cls.emulator = subprocess.Popen([EMULATOR, f'--dir={cls.directory}/machines'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        cls.url = cls.emulator.stdout.readline().strip()
        cls.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answers)
        cls.server.answers = {}
        cls.answers_url = f'http://127.0.0.1:{cls.server.server_port}'
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.issuer, cls.account, cls.client, cls.stranger = (Identity() for _ in range(4))
        for name, identity in ('https://issuer', cls.issuer), (ACCOUNT, cls.account), ('client', cls.client):
            path = cls.write('trusted.pem', identity.certificate_pem)
            cls.emulator.stdin.write(f'trust {name} {path}\n')
            cls.emulator.stdin.flush()
            assert cls.emulator.stdout.readline() == 'ok\n'

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()
        cls.emulator.stdin.close()
        cls.emulator.wait(60)
        cls.emulator.stdout.close()

    @classmethod
    def write(cls, name, text, program=False):
        path = os.path.join(cls.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text if isinstance(text, str) else json.dumps(text))
        os.chmod(path, stat.S_IRWXU if program else stat.S_IRUSR | stat.S_IWUSR)
        return path

    def setUp(self):
        # No file and no metadata service of whoever runs this.
        self.environment = {'HOME': '/nowhere', 'PATH': os.defpath, 'GCE_METADATA_HOST': '127.0.0.1:1',
                            'AZURE_POD_IDENTITY_AUTHORITY_HOST': 'http://127.0.0.1:1', 'AZURE_AUTHORITY_HOST': self.url}

    def ours(self, cloud, environment):
        output = subprocess.run([WHOSE_TOKEN, cloud, self.url], env={**self.environment, **environment}, check=True,
                                stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()
        self.assertNotIn('emulated-', output, 'no token is told')
        if output.startswith('error '):
            return NOBODY, output
        name, status = output.rsplit(' ', 1)
        return name, status

    def hold(self, cloud, theirs, environment, wanted, words=''):
        """`theirs`: who the cloud's library is in the environment. `words`: of our error."""
        with unittest.mock.patch.dict(os.environ, {**self.environment, **environment}, clear=True):
            self.assertEqual(theirs(), wanted, 'the oracle')
        name, more = self.ours(cloud, environment)
        self.assertEqual(name, wanted, more)
        if wanted is NOBODY:
            self.assertIn(words, more)
        else:
            self.assertEqual(more, '200', "the cloud's API takes it")


class GoogleTest(CredentialsTest):
    def send(self, url, **arguments):
        """Nothing leaves this computer; one address its library does not take from files."""
        url = url.replace('https://oauth2.googleapis.com', self.url)
        assert url.startswith('http://127.0.0.1:'), url
        return google.auth.transport.requests.Request()(url, **arguments)

    def google(self):
        metadata = google.auth.compute_engine._metadata
        host = os.environ['GCE_METADATA_HOST']
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter('ignore')
            stack.enter_context(unittest.mock.patch.object(metadata, '_GCE_METADATA_HOST', host))
            stack.enter_context(unittest.mock.patch.object(metadata, '_GCE_DEFAULT_MDS_IP', host))
            # It has its own address where the file has another.
            stack.enter_context(unittest.mock.patch.object(
                google.auth.iam, '_IAM_ENDPOINT',
                self.url + '/v1/projects/-/serviceAccounts/{}:generateAccessToken'))
            os.environ['GCE_METADATA_IP'] = host
            os.environ['GOOGLE_CLOUD_PROJECT'] = 'p'
            try:
                credentials, _ = google.auth.default(scopes=[SCOPE], request=self.send)
                credentials.refresh(self.send)
            except (google.auth.exceptions.GoogleAuthError, ValueError, subprocess.TimeoutExpired):
                return NOBODY
            return whose(credentials.token)

    def hold_file(self, file, wanted, words='', **environment):
        path = self.write('adc.json', file)
        self.hold('gcp', self.google, {'GOOGLE_APPLICATION_CREDENTIALS': path, **environment}, wanted, words)

    def external(self, source, **fields):
        return {'type': 'external_account', 'audience': AUDIENCE, 'subject_token_type': OF_JWT,
                'token_url': f'{self.url}/v1/token', 'credential_source': source, **fields}

    def impersonation(self, email=ACCOUNT):
        return f'{self.url}/v1/projects/-/serviceAccounts/{email}:generateAccessToken'

    def subject(self, signer=None, **claims):
        return (signer or self.issuer).sign({'iss': 'https://issuer', 'sub': 'w', 'aud': 'https:' + AUDIENCE, **claims})

    def user(self, refresh_token='emulated'):
        return {'type': 'authorized_user', 'client_id': 'c', 'client_secret': 's', 'refresh_token': refresh_token,
                'token_uri': f'{self.url}/token'}

    def test_service_account(self):
        def file(identity):
            return {'type': 'service_account', 'client_email': ACCOUNT, 'private_key_id': '1', 'project_id': 'p',
                    'private_key': identity.pem(), 'token_uri': f'{self.url}/token'}

        self.hold_file(file(self.account), ACCOUNT)
        self.hold_file(file(self.stranger), NOBODY, 'Invalid JWT')
        self.hold_file({**file(self.account), 'private_key': 'x'}, NOBODY, 'no RSA key')

    def test_user(self):
        self.hold_file(self.user(), 'user:c')
        self.hold_file(self.user('x'), NOBODY, 'invalid_grant')

    def test_files_that_are_none(self):
        self.hold_file('no JSON', NOBODY, 'no JSON')
        self.hold_file({'type': 'other'}, NOBODY, "type 'other'")
        login = self.write('gcloud/application_default_credentials.json', self.user())
        self.hold('gcp', self.google, {'CLOUDSDK_CONFIG': os.path.dirname(login)}, 'user:c')
        home = self.write('home/.config/gcloud/application_default_credentials.json', self.user())
        self.hold('gcp', self.google, {'HOME': home.split('/.config')[0]}, 'user:c')
        both = {'CLOUDSDK_CONFIG': os.path.dirname(login), 'GOOGLE_APPLICATION_CREDENTIALS': '/nowhere/adc.json'}
        self.hold('gcp', self.google, both, NOBODY, '/nowhere/adc.json')
        self.write('gcloud/application_default_credentials.json', 'no JSON')
        self.hold('gcp', self.google, {'CLOUDSDK_CONFIG': os.path.dirname(login)}, NOBODY, 'no JSON')

    def test_external_account_of_a_file(self):
        path = self.write('subject', self.subject())
        self.hold_file(self.external({'file': path}), 'subject:w')
        as_json = {'file': path, 'format': {'type': 'json', 'subject_token_field_name': 'value'}}
        self.hold_file(self.external(as_json), NOBODY, 'no JSON')
        self.write('subject', {'value': self.subject(), 'other': 1})
        self.hold_file(self.external(as_json), 'subject:w')
        as_json['format']['subject_token_field_name'] = 'none'
        self.hold_file(self.external(as_json), NOBODY, 'no token')
        for format_ in {'type': 'xml'}, {'type': 'json'}:
            self.hold_file(self.external({'file': path, 'format': format_}), NOBODY, 'format')
        for token in (self.subject(self.stranger), self.subject(exp=1), self.subject(aud='x'), self.subject(iss='x'),
                      'x', ''):
            self.write('subject', token)
            self.hold_file(self.external({'file': path}), NOBODY)
        for source in {'file': '/nowhere'}, {}, {'file': path, 'url': self.answers_url}:
            self.hold_file(self.external(source), NOBODY, 'credential_source')
        self.write('subject', self.subject())
        for field in 'audience', 'subject_token_type':
            self.hold_file(self.external({'file': path}, **{field: 'x'}), NOBODY)
        pool = '//iam.googleapis.com/locations/global/workforcePools/p/providers/p'
        self.write('subject', self.subject(aud=pool))
        workforce = self.external({'file': path}, audience=pool)
        self.hold_file(workforce, NOBODY, 'userProject')
        self.hold_file({**workforce, 'workforce_pool_user_project': '12'}, 'subject:w')
        self.hold_file({**workforce, 'client_id': 'c', 'client_secret': 's'}, 'subject:w')

    def test_external_account_of_an_address(self):
        self.server.answers = {'/text': ({}, self.subject()), '/json': ({'Metadata': 'True'},
                                                                        json.dumps({'value': self.subject()}))}
        self.hold_file(self.external({'url': f'{self.answers_url}/text'}), 'subject:w')
        self.hold_file(self.external({'url': f'{self.answers_url}/none'}), NOBODY, 'HTTP 404')
        source = {'url': f'{self.answers_url}/json', 'headers': {'Metadata': 'True'},
                  'format': {'type': 'json', 'subject_token_field_name': 'value'}}
        self.hold_file(self.external(source), 'subject:w')
        del source['headers']
        self.hold_file(self.external(source), NOBODY, 'HTTP 404')

    def test_impersonation(self):
        path = self.write('subject', self.subject())
        for url, wanted in ((self.impersonation(), ACCOUNT),
                            (self.impersonation('forbidden@p.iam.gserviceaccount.com'), NOBODY),
                            (self.impersonation('nobody'), NOBODY)):
            self.hold_file(self.external({'file': path}, service_account_impersonation_url=url), wanted)
            self.hold_file({'type': 'impersonated_service_account', 'service_account_impersonation_url': url,
                            'source_credentials': self.user()}, wanted)
        for seconds, wanted in (600, ACCOUNT), (7200, NOBODY):
            self.hold_file(self.external({'file': path}, service_account_impersonation_url=self.impersonation(),
                                         service_account_impersonation={'token_lifetime_seconds': seconds}), wanted)
        for source, wanted in (({'type': 'service_account', 'client_email': ACCOUNT, 'private_key_id': '1',
                                 'private_key': self.account.pem(), 'token_uri': f'{self.url}/token'}, ACCOUNT),
                               (self.user('x'), NOBODY), ({'type': 'other'}, NOBODY)):
            self.hold_file({'type': 'impersonated_service_account', 'source_credentials': source,
                            'service_account_impersonation_url': self.impersonation()}, wanted)
        for delegate, wanted in ('projects/-/serviceAccounts/d@p.iam.gserviceaccount.com', ACCOUNT), ('d', NOBODY):
            self.hold_file({'type': 'impersonated_service_account', 'source_credentials': self.user(),
                            'delegates': [delegate], 'service_account_impersonation_url': self.impersonation()}, wanted)

    def test_workforce_user(self):
        file = {'type': 'external_account_authorized_user', 'audience': AUDIENCE, 'client_id': 'c',
                'client_secret': 's', 'refresh_token': 'emulated', 'token_url': f'{self.url}/v1/oauthtoken'}
        self.hold_file(file, 'workforce:c')
        self.hold_file({**file, 'refresh_token': 'x'}, NOBODY, 'invalid_grant')
        del file['client_secret']
        self.hold_file(file, NOBODY, 'client_secret')

    def test_external_account_of_a_program(self):
        def answer(**fields):
            return json.dumps({'version': 1, 'success': True, 'token_type': OF_JWT, 'id_token': self.subject(),
                               **fields})

        def file(text, options=None, status=0):
            program = self.write('program', f"#!/bin/sh\ncat <<'EOF'\n{text}\nEOF\n"
                                            f'[ "$GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE" = {AUDIENCE} ] || exit 9\n'
                                            f'exit {status}\n', program=True)
            return self.external({'executable': {'command': f"{program} 'a b'", **(options or {})}})

        allowed = {'GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES': '1'}
        self.hold_file(file(answer()), 'subject:w', **allowed)
        self.hold_file(file(answer()), NOBODY, 'ALLOW_EXECUTABLES')
        self.hold_file(file(answer(expiration_time=int(time.time()) + 60)), 'subject:w', **allowed)
        for text, words in ((answer(expiration_time=1), 'over'), (answer(version=2), 'version'),
                            (answer(token_type='x'), 'type'), ('{}', 'version'), ('x', 'JSON'),
                            (json.dumps({'version': 1, 'success': False, 'code': '7', 'message': 'no'}), '7: no'),
                            (json.dumps({'version': 1, 'success': False}), 'code')):
            self.hold_file(file(text), NOBODY, words, **allowed)
        self.hold_file(file(answer(), status=1), NOBODY, 'executable', **allowed)
        self.hold_file(file(answer(), {'timeout_millis': 10}), NOBODY, 'timeout_millis', **allowed)
        kept = self.write('kept', answer(expiration_time=int(time.time()) + 60))
        self.hold_file(file('x', {'output_file': kept}), 'subject:w', **allowed)
        self.write('kept', answer(expiration_time=1))
        self.hold_file(file('x', {'output_file': kept}), NOBODY, 'JSON', **allowed)
        self.write('kept', json.dumps({'version': 1, 'success': True}))
        self.hold_file(file(answer(), {'output_file': kept}), NOBODY, 'token_type', **allowed)

    def test_external_account_of_aws(self):
        source = {'environment_id': 'aws1', 'regional_cred_verification_url':
                  'https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15'}
        file = self.external(source, subject_token_type=OF_AWS)
        key = {'AWS_ACCESS_KEY_ID': 'AKIDEMULATOR', 'AWS_SECRET_ACCESS_KEY': 'emulated'}
        self.hold_file(file, 'aws:AKIDEMULATOR', AWS_REGION='us-east-1', **key)
        self.hold_file(file, 'aws:AKIDEMULATOR', AWS_DEFAULT_REGION='eu-west-1', AWS_SESSION_TOKEN='t', **key)
        self.hold_file(file, NOBODY, 'signature', AWS_REGION='us-east-1', **{**key, 'AWS_SECRET_ACCESS_KEY': 'x'})
        self.hold_file(file, NOBODY, 'region_url', **key)
        self.hold_file(file, NOBODY, 'url', AWS_REGION='us-east-1')
        for wrong in {**source, 'environment_id': 'aws2'}, {'environment_id': 'aws1'}:
            self.hold_file({**file, 'credential_source': wrong}, NOBODY, 'credential_source', AWS_REGION='r', **key)
        self.hold_file({**file, 'subject_token_type': OF_JWT}, NOBODY, 'environment_id', AWS_REGION='r', **key)
        session = {'X-aws-ec2-metadata-token': 'session'}
        self.server.answers = {
            '/token': ({'X-aws-ec2-metadata-token-ttl-seconds': '300'}, 'session'),
            '/zone': (session, 'us-east-1b'), '/keys': (session, 'role'),
            '/keys/role': (session, json.dumps({'AccessKeyId': 'AKIDEMULATOR', 'SecretAccessKey': 'emulated',
                                                'Token': 't'}))}
        source.update(region_url=f'{self.answers_url}/zone', url=f'{self.answers_url}/keys')
        self.hold_file(file, NOBODY, 'HTTP 404')
        source.update(imdsv2_session_token_url=f'{self.answers_url}/token')
        self.hold_file(file, 'aws:AKIDEMULATOR')

    def test_machine(self):
        answer = requests.post(f'{self.url}/token', data={
            'grant_type': 'refresh_token', 'refresh_token': 'emulated', 'client_id': 'machine'}).text
        account = '/computeMetadata/v1/instance/service-accounts/default/'
        flavor = {'Metadata-Flavor': 'Google'}
        self.server.answers = {
            '/': (flavor, ''), '/computeMetadata/v1/project/project-id': (flavor, 'p'),
            account + '?recursive=true': (flavor, json.dumps({'email': ACCOUNT, 'scopes': [SCOPE], 'aliases': []})),
            **{account + path: (flavor, answer) for path in ('token', 'token?scopes=' + SCOPE.replace(
                ':', '%3A').replace('/', '%2F'))}}
        host = self.answers_url.removeprefix('http://')
        self.hold('gcp', self.google, {'GCE_METADATA_HOST': host}, 'user:machine')
        self.assertEqual(self.ours('gcp', {})[0], NOBODY)


class AzureTest(CredentialsTest):
    class Http(requests.Session):
        """msal wants https: the login's name stands for the emulator, which is told it."""

        def request(self, method, url, *arguments, headers=None, **more):
            url = url.replace(f'https://{LOGIN}', AzureTest.url)
            assert url.startswith('http://127.0.0.1:'), url
            headers = dict(headers or {})
            if '/oauth2/' in url or '/.well-known/' in url:
                headers['Host'] = LOGIN
            return super().request(method, url, *arguments, headers=headers, **more)

    def msal(self, credential, client='client'):
        def ask():
            application = msal.ConfidentialClientApplication(
                client, client_credential=credential, authority=f'https://{LOGIN}/t', instance_discovery=False,
                validate_authority=False, http_client=self.Http())
            answer = application.acquire_token_for_client(['https://management.azure.com/.default'])
            return whose(answer['access_token']) if 'access_token' in answer else NOBODY
        return ask

    def managed(self, identity):
        def ask():
            answer = msal.ManagedIdentityClient(identity, http_client=self.Http()).acquire_token_for_client(
                resource='https://management.azure.com/')
            return whose(answer['access_token']) if 'access_token' in answer else NOBODY
        return ask

    CLIENT = {'AZURE_TENANT_ID': 't', 'AZURE_CLIENT_ID': 'client'}

    def test_secret(self):
        for secret, wanted in ('emulated', 'client@t'), ('x', NOBODY):
            self.hold('azure', self.msal(secret), {**self.CLIENT, 'AZURE_CLIENT_SECRET': secret}, wanted,
                      'AZURE_CLIENT_SECRET')

    def test_certificate(self):
        def certificate(identity, password=None):
            thumbprint = identity.certificate.fingerprint(hashes.SHA1()).hex()
            credential = {'private_key': identity.pem(password), 'thumbprint': thumbprint}
            return {**credential, 'passphrase': password} if password else credential

        for identity, wanted in (self.client, 'client@t'), (self.stranger, NOBODY):
            path = self.write('both.pem', identity.pem() + identity.certificate_pem)
            environment = {**self.CLIENT, 'AZURE_CLIENT_CERTIFICATE_PATH': path}
            self.hold('azure', self.msal(certificate(identity)), environment, wanted, 'AADSTS700027')
            self.write('both.pem', identity.certificate_pem + identity.pem('open'))
            environment['AZURE_CLIENT_CERTIFICATE_PASSWORD'] = 'open'
            self.hold('azure', self.msal(certificate(identity, 'open')), environment, wanted, 'AADSTS700027')
        by_sha256 = {'private_key': self.client.pem(), 'public_certificate': self.client.certificate_pem}
        self.assertEqual(self.msal(by_sha256)(), 'client@t')
        environment['AZURE_CLIENT_CERTIFICATE_PASSWORD'] = 'shut'
        self.assertIn('another password', self.ours('azure', environment)[1])

    def test_workload_identity(self):
        def federated(signer=self.issuer, **claims):
            return signer.sign({'iss': 'https://issuer', 'sub': 'system:serviceaccount:n:a',
                                'aud': 'api://AzureADTokenExchange', **claims})

        for assertion, wanted, words in ((federated(), 'client@t', ''), (federated(exp=1), NOBODY, 'AADSTS700024'),
                                         (federated(self.stranger), NOBODY, 'AADSTS700027'),
                                         (federated(aud='x'), NOBODY, 'AADSTS700212'),
                                         ('x', NOBODY, 'AADSTS50027')):
            path = self.write('token', assertion)
            self.hold('azure', self.msal({'client_assertion': assertion}),
                      {**self.CLIENT, 'AZURE_FEDERATED_TOKEN_FILE': path}, wanted, words)

    def test_app_service(self):
        environment = {'IDENTITY_ENDPOINT': f'{self.url}/msi/token', 'IDENTITY_HEADER': 'emulated'}
        system = self.managed(msal.SystemAssignedManagedIdentity())
        self.hold('azure', system, environment, 'identity:')
        self.hold('azure', system, {**environment, 'IDENTITY_HEADER': 'x'}, NOBODY, 'Unauthorized')
        for client, wanted in ('mine', 'identity:mine'), ('nobody', NOBODY):
            self.hold('azure', self.managed(msal.UserAssignedManagedIdentity(client_id=client)),
                      {**environment, 'AZURE_CLIENT_ID': client}, wanted, 'Managed Identity')

    def test_cli(self):
        """Its output is as `az` 2.54 and later write it, and before."""
        token = requests.post(f'{self.url}/t/oauth2/v2.0/token', data={
            'grant_type': 'client_credentials', 'client_id': 'person', 'client_secret': 'emulated',
            'scope': 'https://management.azure.com/.default'}).json()['access_token']
        until = datetime.datetime.now() + datetime.timedelta(hours=1)
        answer = {'accessToken': token, 'expiresOn': until.isoformat(' '), 'subscription': 's', 'tenant': 't',
                  'tokenType': 'Bearer'}
        folder = os.path.dirname(self.write('bin/az', '', program=True))
        path = {'PATH': f'{folder}:{os.defpath}'}
        for output in answer, {**answer, 'expires_on': int(until.timestamp())}:
            self.write('bin/az', f"#!/bin/sh\ncat <<'EOF'\n{json.dumps(output, indent=2)}\nEOF\n", program=True)
            self.assertEqual(self.ours('azure', path), ('person@t', '200'))
        self.assertEqual(self.ours('azure', {**path, **self.CLIENT, 'AZURE_CLIENT_SECRET': 'emulated'})[0], 'client@t')
        self.assertEqual(self.ours('azure', {**path, **self.CLIENT, 'AZURE_CLIENT_SECRET': 'x'})[0], NOBODY,
                         'what is refused is not passed over')
        self.write('bin/az', "#!/bin/sh\necho \"ERROR: Please run 'az login' to setup account.\" >&2\nexit 1\n",
                   program=True)
        self.assertIn("error UNAUTHENTICATED az: ", self.ours('azure', path)[1])
        self.assertIn("az login", self.ours('azure', path)[1])
        self.assertIn('no `az`', self.ours('azure', {'PATH': '/nowhere'})[1])


if __name__ == '__main__':
    EMULATOR, WHOSE_TOKEN = map(os.path.abspath, sys.argv[1:3])
    unittest.main(argv=sys.argv[:1])
