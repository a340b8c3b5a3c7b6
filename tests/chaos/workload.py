"""The requests of a chaos run, and what of an answer must not depend on what happened to its engines."""

import json
import random
import time

from tests.e2e.harness import MODEL, Broken, parse_events

CHAT = '/v1/chat/completions'
COMPLETIONS = '/v1/completions'

TOPICS = ['the sea', 'a red bicycle', 'prime numbers', 'bread', 'the Moon', 'an old clock', 'rivers', 'chess', 'tea']
SCHEMA = {
    'type': 'object',
    'properties': {'name': {'type': 'string', 'maxLength': 12},
                   'count': {'type': 'integer', 'minimum': 0, 'maximum': 99}},
    'required': ['name', 'count'],
    'additionalProperties': False,
}


def make(rng, tokens):
    """(path, body): one of every kind of request, with about `tokens` tokens of answer."""
    topic = rng.choice(TOPICS)
    body = {'model': MODEL, 'max_tokens': rng.randint(tokens // 2, tokens * 3 // 2), 'seed': rng.randrange(1 << 30),
            'temperature': rng.choice([0, 0.7, 1]), 'stream': True}
    kind = rng.choice(['plain', 'plain', 'plain', 'n', 'logprobs', 'schema', 'stop', 'whole', 'whole_n', 'long', 'completion'])
    if kind == 'completion':
        return COMPLETIONS, {**body, 'prompt': f'{topic.capitalize()} and I'}
    body['messages'] = [{'role': 'user', 'content': f'Write about {topic}, and use some emoji.'}]
    if kind in ('n', 'whole_n'):
        body['n'] = 2
    if kind in ('whole', 'whole_n'):
        body['stream'] = False
    if kind == 'long':  # so that cuts come while it is being read
        body['messages'][0]['content'] += ' This is what I know: ' + ''.join(
            f'{i}. {rng.choice(TOPICS)} and {rng.choice(TOPICS)}. ' for i in range(130))
    if kind == 'logprobs':
        body.update(logprobs=True, top_logprobs=3)
    if kind == 'schema':
        body['messages'][0]['content'] = f'Give a name and a count for {topic} as JSON.'
        body.update(max_tokens=60, response_format={'type': 'json_schema',
                                                    'json_schema': {'name': 'thing', 'schema': SCHEMA, 'strict': True}})
    if kind == 'stop':
        body['stop'] = [' of', '. ', '\n']
    return CHAT, body


def distinct(seed, count, tokens):
    rng = random.Random(seed)
    return [make(rng, tokens) for _ in range(count)]


class Outcome:
    """What a client saw."""

    def __init__(self):
        self.answer = None  # see _merge; None: the answer was lost
        self.error = None
        self.began = self.ended = 0.0
        self.arrivals = []  # of chunks, by time.monotonic()

    def gaps(self):
        return [b - a for a, b in zip(self.arrivals, self.arrivals[1:])]


def ask(gateway, path, body):
    outcome = Outcome()
    outcome.began = time.monotonic()
    try:
        if body['stream']:
            outcome.answer = _stream(gateway, path, {**body, 'stream_options': {'include_usage': True}}, outcome.arrivals)
        else:
            status, _, answer = gateway.post(path, body)
            if status != 200:
                raise AssertionError(f'{status}: {answer}')
            outcome.answer = _merge([answer])
    except Exception as error:  # pylint: disable=broad-except
        outcome.error = f'{type(error).__name__}: {error}'
    outcome.ended = time.monotonic()
    return outcome


def _stream(gateway, path, body, arrivals):
    with gateway.stream(body, path) as stream:
        if stream.read_head() != 200:
            raise AssertionError(f'{stream.status}: {stream.read_all()!r}')
        try:
            while piece := stream.read_chunk():
                if b'data: ' in piece:
                    arrivals.append(time.monotonic())
        except Broken as error:  # after an error event, which says why
            raise Broken(f'{error}: {stream.body[-400:]!r}') from error
        events = parse_events(stream.body)
    if not events or events[-1] != '[DONE]':
        raise AssertionError(f'no clean end: {json.dumps(events[-1:])}')
    return _merge(events[:-1])


def _merge(events):
    """Texts, finish reasons and log-probabilities by choice, and usage: of a whole answer, or of a stream's chunks."""
    choices, usage = {}, None
    for event in events:
        usage = event.get('usage') or usage
        for choice in event['choices']:
            merged = choices.setdefault(choice['index'], {'text': '', 'logprobs': [], 'finish_reason': None})
            message = choice.get('delta') or choice.get('message') or {'content': choice.get('text')}
            merged['text'] += message.get('content') or ''
            if isinstance(choice.get('logprobs'), dict):
                merged['logprobs'] += choice['logprobs'].get('content') or []
            if choice.get('finish_reason'):
                if merged['finish_reason']:
                    raise AssertionError('an answer ended twice')
                merged['finish_reason'] = choice['finish_reason']
    return {'choices': choices, 'usage': {name: usage[name] for name in ('prompt_tokens', 'completion_tokens')}}
