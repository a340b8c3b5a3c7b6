"""JSON-schema constraints held against the jsonschema package, on the schemas of the JSON-Schema-Test-Suite that it
carries and on made ones: its instances are accepted or refused alike, and random walks under the masks of a real
vocabulary end in texts that it finds valid.

What the grammar leaves out on purpose (json_schema.h) is evened out first: members are put in the schema's order, or in
that of an equal object of an enum; 1.0 is written as 1.
"""
import collections
import datetime
import json
import os
import random
import re
import subprocess
import sys

import jsonschema
import referencing

WALKS = 2
# Why a schema of the suite may be refused: keywords outside the subset, and what the header says is not taken.
REFUSALS = re.compile(
    r"the keyword '(\$anchor|\$dynamicAnchor|\$dynamicRef|\$id|\$ref|\$recursive\w+|\$vocabulary|additionalItems|allOf|"
    r"contains|content\w+|dependencies|dependent\w+|else|if|maxContains|maxProperties|minContains|minProperties|not|"
    r"oneOf|patternProperties|propertyNames|then|unevaluated\w+|uniqueItems)' is not supported|"
    r"must begin with '#'|leads nowhere|is no JSON pointer|stands? in two schemas that must both hold|"
    r"beside 'enum' or 'const'|a schema must be an object|it matches no text|may be an integer|'pattern': |"
    r"'pattern', 'format' and a length together|the format '.*' is not supported")

CHECKER = jsonschema.FormatChecker()


@CHECKER.checks('date-time')
def is_date_time(value):
    if not isinstance(value, str):
        return True
    if not re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)', value, re.ASCII):
        return False
    try:
        datetime.datetime.fromisoformat(re.sub(r'\.\d+', '', value))
        return True
    except ValueError:
        return False


@CHECKER.checks('time')
def is_time(value):
    return not isinstance(value, str) or is_date_time('2000-01-01T' + value)


@CHECKER.checks('hostname')
def is_hostname(value):
    label = r'[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
    return not isinstance(value, str) or (
        len(value) <= 253 and bool(re.fullmatch(rf'{label}(\.{label})*', value, re.ASCII)))


@CHECKER.checks('duration')
def is_duration(value):
    pattern = r'P(?=[\dT])(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)'
    return not isinstance(value, str) or bool(re.fullmatch(pattern, value, re.ASCII))


class Matcher:
    """The engine's side."""

    def __init__(self, program, gguf):
        self.process = subprocess.Popen([program, gguf], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, schema, texts, walks, seed):
        request = {'schema': json.dumps(schema, ensure_ascii=False), 'texts': texts, 'walks': walks, 'seed': seed}
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def resolve(root, reference):
    at = root
    for name in reference.lstrip('#').split('/')[1:]:
        name = re.sub(r'%([0-9A-Fa-f]{2})', lambda m: chr(int(m[1], 16)), name).replace('~1', '/').replace('~0', '~')
        at = at[int(name)] if isinstance(at, list) else at[name]
    return at


def validator(schema):
    return jsonschema.Draft202012Validator(schema, format_checker=CHECKER, registry=referencing.Registry())


def applicable(schema, root, instance, depth=0):
    """The schemas whose keywords apply to the instance itself, in order."""
    if not isinstance(schema, dict) or depth > 20:
        return
    if '$ref' in schema:
        yield from applicable(resolve(root, schema['$ref']), root, instance, depth + 1)
    yield schema
    for branch in schema.get('anyOf', []):
        if is_valid(branch, root, instance):
            yield from applicable(branch, root, instance, depth + 1)


def is_valid(branch, root, instance):
    if not isinstance(branch, dict):
        return bool(branch)
    definitions = {k: v for k, v in root.items() if k in ('$defs', 'definitions')}
    return validator({**definitions, **branch}).is_valid(instance)


def ordered(instance, schemas, root):
    """The same value as the grammar wants it written."""
    found = [s for schema in schemas for s in applicable(schema, root, instance)]
    for value in [v for s in found for v in s.get('enum', []) + ([s['const']] if 'const' in s else [])]:
        if jsonschema.Draft202012Validator({'const': value}).is_valid(instance):
            return ordered(value, [], root)
    if isinstance(instance, float) and instance.is_integer() and abs(instance) < 1e15:
        return int(instance)
    if isinstance(instance, list):
        out = []
        for i, item in enumerate(instance):
            below = []
            for s in found:
                prefix = s.get('prefixItems', [])
                below += [prefix[i]] if i < len(prefix) else [s['items']] if 'items' in s else []
            out.append(ordered(item, below, root))
        return out
    if not isinstance(instance, dict):
        return instance
    names = [name for s in found for name in s.get('properties', {})]
    names += [name for s in found for name in s.get('required', [])]
    names += list(instance)
    out = {}
    for name in names:
        if name not in instance or name in out:
            continue
        below = [s['properties'][name] if name in s.get('properties', {}) else s.get('additionalProperties', True)
                 for s in found]
        out[name] = ordered(instance[name], below, root)
    return out


def write(instance):
    return json.dumps(instance, ensure_ascii=False, separators=(',', ':'))


class Comparison:
    def __init__(self, matcher):
        self.matcher = matcher
        self.counts = collections.Counter()
        self.seen = set()
        self.refused = collections.Counter()
        self.failures = []

    def fail(self, what, schema, **more):
        self.failures.append(f'{what}: schema {json.dumps(schema)[:600]} {more}')

    def compare(self, schema, instances, name, walks=WALKS, only_sound=False):
        """`only_sound`: valid instances may be refused, as formats are sub-languages."""
        key = json.dumps(schema, sort_keys=False)
        if key in self.seen:
            return
        self.seen.add(key)
        try:
            oracle = validator(schema)
            expected = [oracle.is_valid(instance) for instance in instances]
            texts = [write(ordered(instance, [schema], schema)) for instance in instances]
        except Exception as error:  # pylint: disable=broad-except
            # References that jsonschema cannot follow either.
            expected, texts = None, []
            reason = error
        answer = self.matcher.ask(schema, texts, walks, len(self.seen))
        if 'error' in answer:
            if answer['internal'] or not REFUSALS.search(answer['error']):
                self.fail(f'{name}: {answer["error"]}', schema)
            elif 'matches no text' in answer['error'] and any(expected or []):
                self.fail(f'{name}: {answer["error"]}', schema)
            self.refused[re.sub(r'^#.*?: ', '', answer['error'])[:60]] += 1
            return
        if expected is None:
            return self.fail(f'{name}: only the oracle refuses: {reason!r}', schema)
        self.counts['schemas'] += 1
        self.counts['masks'] = answer['masks']
        for instance, text, valid, accepted in zip(instances, texts, expected, answer['accepted']):
            self.counts['valid instances' if valid else 'invalid instances'] += 1
            if valid and not accepted and only_sound:
                self.counts['valid instances left out'] += 1
                print(f'left out: {name}: {text}')
            elif accepted != valid:
                self.fail(f'{name}: accepted={accepted} valid={valid}', schema, text=text, instance=instance)
        for text in answer['walks']:
            if not text:
                self.counts['walks without an end'] += 1
                continue
            self.counts['walks'] += 1
            try:
                value = json.loads(text)
            except ValueError as error:
                self.fail(f'{name}: a walk is not JSON ({error})', schema, text=text)
                continue
            if not oracle.is_valid(value):
                self.fail(f'{name}: a walk is not valid', schema, text=text,
                          why=next(oracle.iter_errors(value)).message)


def suite_cases(folder):
    for draft in ('draft2020-12', 'draft2019-09', 'draft7', 'draft6'):
        for base, _, files in sorted(os.walk(os.path.join(folder, draft))):
            where = os.path.relpath(base, os.path.join(folder, draft))
            if where not in ('.', 'optional/format'):
                continue
            for file in sorted(files):
                if where == '.' and file == 'format.json':
                    continue  # says that formats assert nothing; with us they do
                with open(os.path.join(base, file), encoding='utf-8') as cases:
                    for case in json.load(cases):
                        yield f'{draft}/{where}/{file}', case


# --- made schemas: everything that is taken, at random

FORMATS = ['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid']
NAMES = ['a', 'b', 'name', 'value', 'with space', 'quote"d', 'é', 'line\n', '$ref', 'a/b', 'aa']
PATTERNS = ['^[a-z]{2,5}$', 'b', '^(foo|bar)+$', r'^\d{3}-\d{4}$', '[^a-c]$', '^x*y?z+$',
            r'^[A-Z0-9_]+@[a-z]+\.(com|org)$',
            r'^[\u00e0-\u00ff"\\]{1,3}$', '^a|b$', r'\.$', '^.{3}$', '(a|bc){2,}', '^[ x]+$', '^$']


class Maker:
    """Schemas of random shape with instances that are valid or nearly so."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def schema(self, depth=0):
        r = self.random
        kinds = [self.string, self.integer, self.number, self.enum, self.plain]
        if depth < 3:
            kinds += [self.object, self.object, self.array, self.any_of, self.prefix_items]
        made = r.choice(kinds)(depth)
        if r.random() < 0.1 and isinstance(made.get('type'), str) and 'enum' not in made:
            made['type'] = [made['type'], 'null']
        if r.random() < 0.2:
            made['description'] = 'a note'
        return made

    def plain(self, _):
        return self.random.choice([{'type': 'boolean'}, {'type': 'null'}, {}, {'type': ['string', 'integer']},
                                   {'type': 'object'}, {'type': 'array'}, {'type': 'number'}])

    def string(self, _):
        r = self.random
        kind = r.randrange(4)
        if kind == 0:
            return {'type': 'string', 'pattern': r.choice(PATTERNS)}
        if kind == 1:
            return {'type': 'string', 'format': r.choice(FORMATS)}
        made = {'type': 'string'}
        if r.random() < 0.6:
            made['minLength'] = r.randrange(4)
        if r.random() < 0.6:
            made['maxLength'] = r.choice([2, 3, 5, 40, 300])
        return made

    def integer(self, _):
        r = self.random
        made = {'type': 'integer'}
        if r.random() < 0.6:
            made[r.choice(['minimum', 'exclusiveMinimum'])] = r.choice([-1000, -37, -1, 0, 1, 5, 99, 1.5, -2.5])
        if r.random() < 0.6:
            made[r.choice(['maximum', 'exclusiveMaximum'])] = r.choice([100, 101, 1234, 99999, 100.5, 10**12])
        if r.random() < 0.4:
            made['multipleOf'] = r.choice([1, 2, 3, 7, 10, 25, 100, 0.5])
        return made

    def number(self, _):
        r = self.random
        made = {'type': 'number'}
        if r.random() < 0.7:
            made[r.choice(['minimum', 'exclusiveMinimum'])] = r.choice([-10.25, -1, 0, 0.5, 1.75, 3])
        if r.random() < 0.7:
            made[r.choice(['maximum', 'exclusiveMaximum'])] = r.choice([3, 3.14159, 10, 12.5, 1000, 1e-3 + 3])
        return made

    def enum(self, _):
        values = ['a', 'ab', 'b"c', 'é\n', 1, 2.5, -3, True, None, {'a': 1, 'b': [2]}, [], [1, 'x'], '']
        chosen = self.random.sample(values, self.random.randrange(1, 5))
        return {'const': chosen[0]} if len(chosen) == 1 else {'enum': chosen}

    def object(self, depth):
        r = self.random
        names = r.sample(NAMES, r.randrange(5))
        made = {'type': 'object', 'properties': {name: self.schema(depth + 1) for name in names}}
        made['required'] = [name for name in names if r.random() < 0.6]
        if r.random() < 0.1:
            made['required'].append('needed')
        made['additionalProperties'] = r.choice([False, False, True, self.schema(depth + 1)])
        if 'needed' in made['required'] and made['additionalProperties'] is False:
            made['additionalProperties'] = True
        return made

    def array(self, depth):
        r = self.random
        made = {'type': 'array', 'items': self.schema(depth + 1)}
        if r.random() < 0.5:
            made['minItems'] = r.randrange(3)
        if r.random() < 0.5:
            made['maxItems'] = r.choice([2, 3, 100])
        return made

    def prefix_items(self, depth):
        r = self.random
        made = {'type': 'array', 'prefixItems': [self.schema(depth + 1) for _ in range(r.randrange(1, 4))]}
        if r.random() < 0.6:
            made['items'] = r.choice([False, self.schema(depth + 1)])
        if r.random() < 0.5:
            made['minItems'] = r.randrange(3)
        return made

    def any_of(self, depth):
        return {'anyOf': [self.schema(depth + 1) for _ in range(self.random.randrange(1, 4))]}

    def instance(self, depth=0):
        r = self.random
        simple = [None, True, 0, 1, -1, 3, 100, 2.5, 3.0, -7.125, 99999, '', 'a', 'b', 'foo', 'xyz', 'é"\\', 'x' * 41,
                  '555-1234', '2024-02-29', '2023-02-29', '::1', '10.0.0.1', 'a@b.com', 'P1DT2H']
        kind = r.randrange(6)
        if kind == 0 and depth < 3:
            return {name: self.instance(depth + 1) for name in r.sample(NAMES, r.randrange(4))}
        if kind == 1 and depth < 3:
            return [self.instance(depth + 1) for _ in range(r.randrange(4))]
        return r.choice(simple)

    def changed(self, value):
        """Nearly the same value."""
        r = self.random
        if isinstance(value, dict) and value:
            name = r.choice(list(value))
            out = dict(value)
            if r.random() < 0.4:
                del out[name]
            elif r.random() < 0.2:
                out['extra'] = 1
            else:
                out[name] = self.changed(value[name])
            return out
        if isinstance(value, list) and value:
            i = r.randrange(len(value))
            return value[:i] + ([] if r.random() < 0.3 else [self.changed(value[i])]) + value[i + 1:]
        if isinstance(value, str) and r.random() < 0.6:
            i = r.randrange(len(value) + 1)
            return value[:i] + r.choice(['', 'a', '0', '-', 'é']) + value[i + 1:]
        if isinstance(value, (int, float)) and not isinstance(value, bool) and r.random() < 0.7:
            return r.choice([value + 1, value - 1, -value, value * 10])
        return self.instance(2)


def representable(value):
    """What the grammar writes without an exponent, and Python reads without losing digits."""
    if isinstance(value, float):
        return abs(value) < 1e12 and 'e' not in repr(value)
    if isinstance(value, int):
        return abs(value) < 10**15
    if isinstance(value, dict):
        return all(representable(v) for v in value.values())
    return not isinstance(value, list) or all(representable(v) for v in value)


def compare_made(comparison, count):
    for seed in range(count):
        maker = Maker(seed)
        schema = maker.schema()
        answer = comparison.matcher.ask(schema, [], 4, seed)
        instances = [maker.instance() for _ in range(10)]
        for text in answer.get('walks', []):
            if not text:
                continue
            value = json.loads(text)
            instances += [value] + [maker.changed(value) for _ in range(4)]
        instances = [instance for instance in instances if representable(instance)]
        formats = '"format"' in json.dumps(schema)
        comparison.compare(schema, instances, f'made {seed}', only_sound=formats)


REFUSED_BY_NAME = [
    ({'allOf': [{}]}, "#: the keyword 'allOf'"),
    ({'properties': {'a/b': {'items': {'uniqueItems': True}}}}, "#/properties/a~1b/items: the keyword 'uniqueItems'"),
    ({'$defs': {'x': {'not': {}}}, '$ref': '#/$defs/x'}, "#/$defs/x: the keyword 'not'"),
    ({'anyOf': [{}, {'if': True}]}, "#/anyOf/1: the keyword 'if'"),
    ({'type': 'string', 'pattern': 'a(?=b)'}, 'look-ahead'),
    ({'type': 'string', 'pattern': r'(a)\1'}, 'back references'),
    ({'type': 'string', 'pattern': r'(?<!a)b'}, 'look-behind'),
    ({'type': 'string', 'pattern': r'\bword'}, 'word boundaries'),
    ({'type': 'string', 'pattern': 'a{70000}'}, 'limit of 65535'),
    ({'type': 'string', 'pattern': '(' * 200 + ')' * 200}, 'limit of 100'),
    ({'type': 'string', 'format': 'uri'}, "the format 'uri'"),
    ({'type': 'number', 'multipleOf': 0.3}, "'multipleOf' is 0.3"),
    ({'type': 'integer', 'multipleOf': 100000}, 'limit of 1000'),
    ({'type': 'integer', 'minimum': 1e30}, "'minimum' is 1e+30"),
    ({'$ref': '#'}, 'matches no text'),
    ({'anyOf': [{'$ref': '#'}, {'type': 'null'}]}, 'refers to itself'),
    ({'$ref': 'http://example.com/x'}, "must begin with '#'"),
    ({'type': 'objekt'}, "no type 'objekt'"),
    ({'enum': list(range(2000))}, 'limit of 1000'),
    ({'properties': {str(i): True for i in range(6000)}}, 'limit of 5000'),
    ({'type': 'array', 'prefixItems': [True] * 2000}, 'limit of 1000'),
    ({'type': 'object', 'required': ['a'], 'additionalProperties': False}, 'matches no text'),
    ({'const': 'x' * 300000}, 'the limit is 262144'),
    ({'properties': {'x' * 40000: True}}, 'more than 262144 states'),
]


def nested(depth):
    schema = {}
    for _ in range(depth):
        schema = {'items': schema}
    return schema


def main():
    program, gguf, suite = sys.argv[1:4]
    comparison = Comparison(Matcher(program, gguf))
    for name, case in suite_cases(suite):
        formats = 'optional/format' in name
        instances = [test['data'] for test in case['tests']]
        if formats:
            # The suite itself is the oracle: what is accepted must be valid.
            schema = case['schema']
            if not isinstance(schema, dict) or schema.get('format') not in FORMATS:
                continue
            answer = comparison.matcher.ask(schema, [write(i) for i in instances], 0, 0)
            if 'error' in answer:
                continue
            for test, accepted in zip(case['tests'], answer['accepted']):
                if accepted and not test['valid']:
                    comparison.fail(f'{name}: accepted, but not valid', schema, instance=test['data'])
        comparison.compare(case['schema'], instances, name, only_sound=formats)
    of_suite = comparison.counts['schemas']
    compare_made(comparison, int(os.environ.get('MADE', 200)))
    for schema, reason in REFUSED_BY_NAME + [(nested(100), 'limit of 64')]:
        answer = comparison.matcher.ask(schema, [], 0, 0)
        if reason not in answer.get('error', ''):
            comparison.fail(f'not refused for {reason!r} but {answer}', schema)
    for failure in comparison.failures[:40]:
        print(failure)
    for reason, count in comparison.refused.most_common():
        print(f'refused {count}: {reason}')
    print(f'{of_suite} schemas of the suite,', ', '.join(f'{n} {what}' for what, n in comparison.counts.items()),
          f'{len(comparison.failures)} failures')
    assert comparison.counts['schemas'] >= 300 and of_suite >= 150, comparison.counts
    assert comparison.counts['masks'] >= 100
    assert comparison.counts['walks without an end'] * 20 <= comparison.counts['walks']
    sys.exit(bool(comparison.failures))


main()
