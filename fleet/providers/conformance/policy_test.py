"""The policy in fleet/providers/README.md allows what the AWS adapter calls, and nothing that it does not."""
import json
import pathlib
import re
import unittest

README = pathlib.Path('fleet/providers/README.md').read_text()
ADAPTER = pathlib.Path('fleet/providers/aws/aws_api.cc').read_text()

# What a caller needs no right for; what comes with a purchase (tags, the first spot machine of an account).
FREE = {'sts:GetCallerIdentity'}
COMES_ALONG = {'ec2:CreateTags', 'iam:CreateServiceLinkedRole'}


def called():
    ec2 = re.findall(r'\b(?:Ask|Pages|OfMachine)\((?:[^"(),]*(?:\([^"()]*\))?, )*"(\w+)"', ADAPTER)
    return ({f'ec2:{name}' for name in ec2} | {f'sts:{name}' for name in re.findall(r'"sts"}, "(\w+)"', ADAPTER)} |
            {f'servicequotas:{name}' for name in re.findall(r'"ServiceQuotasV20190624\.(\w+)"', ADAPTER)} |
            {f'pricing:{name}' for name in re.findall(r'"AWSPriceListService\.(\w+)"', ADAPTER)})


class PolicyTest(unittest.TestCase):

    def setUp(self):
        blocks = [json.loads(text) for text in re.findall(r'```json\n(.*?)```', README, re.DOTALL)]
        policies = [block for block in blocks if 'Statement' in block]
        self.assertEqual(len(policies), 1)
        self.statements = policies[0]['Statement']
        self.assertTrue(all(statement['Effect'] == 'Allow' for statement in self.statements))

    def test_allows_what_is_called_and_nothing_else(self):
        allowed = {action for statement in self.statements for action in statement['Action']}
        self.assertIn('ec2:RunInstances', called())
        self.assertEqual(allowed - COMES_ALONG, called() - FREE)

    def test_changes_only_what_has_the_fleets_name(self):
        for statement in self.statements:
            for action in statement['Action']:
                if not re.match('ec2:(Terminate|Start|Attach|Detach|Delete|Create)', action):
                    continue
                self.assertIn('Condition', statement, action)

    def test_makes_only_what_has_the_fleets_name(self):
        for statement in self.statements:
            if 'ec2:RunInstances' not in statement['Action'] or 'Condition' in statement:
                continue
            resources = statement['Resource']
            for resource in [resources] if isinstance(resources, str) else resources:
                self.assertNotRegex(resource, r'^\*$|:(instance|volume)/')


if __name__ == '__main__':
    unittest.main()
