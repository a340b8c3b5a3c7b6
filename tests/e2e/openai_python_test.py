"""OpenAI's own Python SDK against the gateway: what users' programs do, and what they must see."""

import json
import os
import threading
import unittest
from typing import Optional

import jsonschema
import openai
import pydantic

from tests.e2e.harness import (DEADLINE_S, LONGEST, MODEL, Gateway, cpu_seconds, wait_for, wait_until_idle)

QUESTION = [{'role': 'user', 'content': 'Name three colours.'}]


def text_of(stream, index=0):
    return ''.join(c.delta.content or '' for chunk in stream for c in chunk.choices if c.index == index)


class OpenAiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway()
        cls.addClassCleanup(cls.gateway.close)
        cls.gateway.start()
        cls.client = cls.new_client()

    @classmethod
    def new_client(cls, **options):
        client = openai.OpenAI(**{'base_url': cls.gateway.base_url, 'api_key': cls.gateway.key, 'max_retries': 0,
                                  'timeout': DEADLINE_S, **options})
        cls.addClassCleanup(client.close)
        return client

    def chat(self, **fields):
        return self.client.chat.completions.create(**{'model': MODEL, 'messages': QUESTION, 'max_tokens': 12, **fields})

    def complete(self, **fields):
        return self.client.completions.create(**{'model': MODEL, 'prompt': 'One, two, three,', 'max_tokens': 8, **fields})


class Answers(OpenAiTest):
    def test_chat(self):
        answer = self.chat(temperature=0)
        (choice,) = answer.choices
        self.assertEqual((answer.object, answer.model, choice.index), ('chat.completion', MODEL, 0))
        self.assertEqual((choice.message.role, choice.message.refusal), ('assistant', None))
        self.assertTrue(choice.message.content)
        self.assertIn(choice.finish_reason, ('stop', 'length'))
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertTrue(answer.system_fingerprint)
        self.assertTrue(answer.id.startswith('chatcmpl-'))

    def test_streamed_equals_whole(self):
        for fields in {'temperature': 0}, {'seed': 7}, {'seed': 7, 'top_p': 0.8, 'frequency_penalty': 1, 'temperature': 1.3}:
            with self.subTest(fields):
                whole = self.chat(**fields)
                chunks = list(self.chat(stream=True, **fields))
                self.assertEqual(text_of(chunks), whole.choices[0].message.content)
                self.assertEqual(chunks[-1].choices[0].finish_reason, whole.choices[0].finish_reason)
                self.assertEqual({c.system_fingerprint for c in chunks}, {whole.system_fingerprint})

    def test_seeds(self):
        def answer(**fields):
            return self.chat(max_tokens=24, **fields).choices[0].message.content
        self.assertEqual(answer(seed=1), answer(seed=1))
        self.assertEqual(answer(seed=-5), answer(seed=-5))
        self.assertNotEqual(answer(seed=1, temperature=2), answer(seed=2, temperature=2))
        # Without a seed, each one has its own.
        self.assertGreater(len({answer(temperature=2) for _ in range(3)}), 1)

    def test_a_conversation_with_a_system_message_and_content_parts(self):
        messages = [{'role': 'system', 'content': 'You are terse.'}, {'role': 'user', 'content': 'Hi'},
                    {'role': 'assistant', 'content': 'Hello.'},
                    {'role': 'user', 'content': [{'type': 'text', 'text': 'Name '}, {'type': 'text', 'text': 'a colour.'}]}]
        joined = messages[:3] + [{'role': 'user', 'content': 'Name a colour.'}]
        one, other = self.chat(messages=messages, temperature=0), self.chat(messages=joined, temperature=0)
        self.assertEqual(one.choices[0].message.content, other.choices[0].message.content)
        self.assertEqual(one.usage.prompt_tokens, other.usage.prompt_tokens)

    def test_n(self):
        whole = self.chat(n=3, seed=3, temperature=1.5)
        self.assertEqual([c.index for c in whole.choices], [0, 1, 2])
        texts = [c.message.content for c in whole.choices]
        self.assertEqual(len(set(texts)), 3, texts)
        chunks = list(self.chat(n=3, seed=3, temperature=1.5, stream=True))
        self.assertEqual([text_of(chunks, i) for i in range(3)], texts)
        self.assertEqual(sorted(c.index for chunk in chunks for c in chunk.choices if c.finish_reason), [0, 1, 2])
        # The first choice is what n=1 would have said, and the prompt is counted once.
        alone = self.chat(seed=3, temperature=1.5)
        self.assertEqual(alone.choices[0].message.content, texts[0])
        self.assertEqual(whole.usage.prompt_tokens, alone.usage.prompt_tokens)

    def test_stop(self):
        full = self.complete(temperature=0, max_tokens=16).choices[0]
        self.assertIn('six', full.text)
        for stop in 'six', ['never', 'six'], ['ix', 'six']:
            with self.subTest(stop):
                cut = self.complete(temperature=0, max_tokens=16, stop=stop).choices[0]
                self.assertEqual((cut.text, cut.finish_reason), (full.text[:full.text.index('six')], 'stop'))
                chunks = list(self.complete(temperature=0, max_tokens=16, stop=stop, stream=True))
                self.assertEqual(''.join(c.choices[0].text for c in chunks), cut.text)
                self.assertEqual(chunks[-1].choices[0].finish_reason, 'stop')

    def test_max_tokens(self):
        for fields in {'max_tokens': 1}, {'max_tokens': None, 'max_completion_tokens': 1}:
            fields = {name: value for name, value in fields.items() if value is not None} | {'model': MODEL}
            answer = self.client.chat.completions.create(messages=QUESTION, logit_bias=LONGEST, **fields)
            self.assertEqual((answer.usage.completion_tokens, answer.choices[0].finish_reason), (1, 'length'))

    def test_without_max_tokens_the_model_ends_by_itself(self):
        answer = self.client.chat.completions.create(
            model=MODEL, temperature=0, messages=[{'role': 'user', 'content': 'Answer with one word: hello or goodbye?'}])
        self.assertEqual(answer.choices[0].finish_reason, 'stop')
        self.assertNotIn('<|im_end|>', answer.choices[0].message.content)

    def test_logit_bias(self):
        answer = self.complete(logit_bias={'28': 100}, max_tokens=3, temperature=0, logprobs=0)
        self.assertEqual(len(set(answer.choices[0].logprobs.tokens)), 1)

    def test_chat_logprobs(self):
        whole = self.chat(temperature=0, logprobs=True, top_logprobs=4).choices[0]
        content = whole.logprobs.content
        self.assertEqual(b''.join(bytes(t.bytes) for t in content).decode(), whole.message.content)
        for token in content:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 4)
            self.assertEqual(token.top_logprobs[0].token, token.token, 'the likeliest was taken')
            values = [top.logprob for top in token.top_logprobs]
            self.assertEqual(values, sorted(values, reverse=True))
        chunks = list(self.chat(temperature=0, logprobs=True, top_logprobs=4, stream=True))
        streamed = [t for c in chunks if c.choices and c.choices[0].logprobs for t in c.choices[0].logprobs.content]
        self.assertEqual(streamed, content)
        self.assertIsNone(self.chat(temperature=0).choices[0].logprobs)

    def test_completion_logprobs(self):
        choice = self.complete(temperature=0, logprobs=2).choices[0]
        logprobs = choice.logprobs
        self.assertEqual(''.join(logprobs.tokens), choice.text)
        self.assertEqual(len(logprobs.token_logprobs), len(logprobs.tokens))
        self.assertEqual([choice.text[at:at + len(t)] for at, t in zip(logprobs.text_offset, logprobs.tokens)], logprobs.tokens)
        for token, logprob, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs):
            self.assertEqual(max(top.values()), logprob)
            self.assertEqual(top[token], logprob)

    def test_completion_prompts(self):
        answer = self.complete(prompt=['One, two, three,', 'Red, green,'], n=2, temperature=0, max_tokens=4)
        self.assertEqual([c.index for c in answer.choices], [0, 1, 2, 3])
        self.assertEqual(answer.choices[0].text, self.complete(temperature=0, max_tokens=4).choices[0].text)
        self.assertEqual(answer.choices[2].text, self.complete(prompt='Red, green,', temperature=0, max_tokens=4).choices[0].text)
        ids = self.complete(prompt=[504, 1594, 28], temperature=0, max_tokens=4)
        self.assertEqual(ids.usage.prompt_tokens, 3)

    def test_cached_tokens(self):
        messages = [{'role': 'user', 'content': 'A prompt that nobody else sends here: ' + 'and so on, ' * 60}]
        first = self.chat(messages=messages, max_tokens=4, seed=1)
        second = self.chat(messages=messages, max_tokens=4, seed=1)
        self.assertLess(first.usage.prompt_tokens_details.cached_tokens, first.usage.prompt_tokens / 2)
        self.assertGreater(second.usage.prompt_tokens_details.cached_tokens, second.usage.prompt_tokens / 2)
        self.assertLess(second.usage.prompt_tokens_details.cached_tokens, second.usage.prompt_tokens)
        self.assertEqual(second.choices[0].message.content, first.choices[0].message.content)

    def test_include_usage(self):
        *chunks, last = self.chat(stream=True, stream_options={'include_usage': True}, temperature=0)
        self.assertEqual(last.choices, [])
        self.assertEqual(last.usage.completion_tokens, self.chat(temperature=0).usage.completion_tokens)
        self.assertTrue(all(chunk.usage is None for chunk in chunks))

    def test_fields_that_change_nothing(self):
        plain = self.chat(temperature=0).choices[0].message.content
        other = self.chat(temperature=0, user='someone', metadata={'a': 'b'}, n=1, tools=[], tool_choice='none', store=False,
                          response_format={'type': 'text'}, safety_identifier='x', service_tier='auto')
        self.assertEqual(other.choices[0].message.content, plain)

    def test_models(self):
        (model,) = self.client.models.list()
        self.assertEqual((model.id, model.object), (MODEL, 'model'))
        self.assertEqual(self.client.models.retrieve(MODEL), model)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve('gpt-4')

    def test_raw_response_and_streaming_helpers(self):
        raw = self.client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, max_tokens=2)
        self.assertRegex(raw.headers['x-request-id'], '^req_')
        self.assertEqual(raw.parse()._request_id, raw.headers['x-request-id'])  # pylint: disable=protected-access
        # The helper that puts a stream together again takes one that was cut by its length for an error.
        with self.client.chat.completions.stream(model=MODEL, messages=QUESTION, stop='.', temperature=0) as stream:
            text = ''.join(event.delta for event in stream if event.type == 'content.delta')
            final = stream.get_final_completion()
        self.assertEqual((final.choices[0].message.content, final.choices[0].finish_reason), (text, 'stop'))

    def test_unicode_arrives_whole(self):
        chunks = list(self.complete(prompt='日本語 🎉 👩‍👩‍👧 ελληνικά:', seed=11, temperature=1.5, max_tokens=60, stream=True))
        whole = self.complete(prompt='日本語 🎉 👩‍👩‍👧 ελληνικά:', seed=11, temperature=1.5, max_tokens=60)
        self.assertEqual(''.join(c.choices[0].text for c in chunks), whole.choices[0].text)


PERSON = {
    'type': 'object',
    'properties': {
        'name': {'type': 'string', 'minLength': 1, 'maxLength': 12},
        'age': {'type': 'integer', 'minimum': 0, 'maximum': 130},
        'mood': {'enum': ['happy', 'sad', None]},
        'friends': {'type': 'array', 'items': {'$ref': '#/$defs/friend'}, 'maxItems': 2},
    },
    'required': ['name', 'age', 'mood', 'friends'],
    'additionalProperties': False,
    '$defs': {'friend': {'type': 'object', 'properties': {'name': {'type': 'string', 'pattern': '^[A-Z][a-z]{1,8}$'}},
                         'required': ['name'], 'additionalProperties': False}},
}


class StructuredOutputs(OpenAiTest):
    ASK = {'messages': [{'role': 'user', 'content': 'Describe a person as JSON.'}], 'max_tokens': 400}
    FORMAT = {'type': 'json_schema', 'json_schema': {'name': 'person', 'strict': True, 'schema': PERSON}}

    def test_json_schema(self):
        validator = jsonschema.Draft202012Validator(PERSON)
        for fields in {'temperature': 0}, {'temperature': 1.5, 'seed': 1}, {'seed': 2, 'top_p': 0.5, 'n': 3}:
            with self.subTest(fields):
                answer = self.chat(response_format=self.FORMAT, **self.ASK, **fields)
                for choice in answer.choices:
                    self.assertEqual(choice.finish_reason, 'stop')
                    validator.validate(json.loads(choice.message.content))
                chunks = list(self.chat(response_format=self.FORMAT, stream=True, **self.ASK, **fields))
                self.assertEqual(text_of(chunks), answer.choices[0].message.content)

    def test_parsed_by_the_sdk(self):
        class Point(pydantic.BaseModel):
            x: int
            y: Optional[int]

        answer = self.client.chat.completions.parse(model=MODEL, temperature=0, response_format=Point, **self.ASK)
        self.assertIsInstance(answer.choices[0].message.parsed, Point)

    def test_json_object(self):
        for seed in range(3):
            answer = self.chat(response_format={'type': 'json_object'}, temperature=1, seed=seed, **self.ASK)
            if answer.choices[0].finish_reason == 'stop':
                self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)
            self.assertTrue(answer.choices[0].message.content.startswith('{'))
        cut = self.chat(response_format={'type': 'json_object'}, **{**self.ASK, 'max_tokens': 1})
        self.assertEqual(cut.choices[0].finish_reason, 'length')

    def test_logprobs_are_of_the_model(self):
        """The mask changes what is picked, not what is reported."""
        fields = {'temperature': 0, 'logprobs': True, 'top_logprobs': 3, 'messages': QUESTION, 'max_tokens': 1}
        held = self.chat(response_format={'type': 'json_object'}, **fields).choices[0].logprobs.content[0]
        free = self.chat(**fields).choices[0].logprobs.content[0]
        self.assertEqual(held.top_logprobs, free.top_logprobs)
        self.assertEqual(free.token, free.top_logprobs[0].token)
        self.assertEqual(held.token[0], '{')
        self.assertLess(held.logprob, free.logprob)


class Errors(OpenAiTest):
    """Before the model is awake, and it stays so."""

    def tearDown(self):
        self.assertEqual(self.gateway.engine_pids(), [])

    def refused(self, error_class, param=None, code=None, client=None, **fields):
        with self.assertRaises(error_class) as raised:
            (client or self.client).chat.completions.create(**{'model': MODEL, 'messages': QUESTION, **fields})
        error = raised.exception
        self.assertEqual((error.param, error.code), (param, code or error.code), error)
        self.assertRegex(error.request_id, '^req_')
        self.assertTrue(error.message)
        return error

    def test_errors(self):
        self.refused(openai.AuthenticationError, code='invalid_api_key', client=self.new_client(api_key='sk-wrong'))
        self.refused(openai.NotFoundError, 'model', 'model_not_found', model='gpt-4')
        self.refused(openai.BadRequestError, 'surprise', extra_body={'surprise': 1})
        self.refused(openai.BadRequestError, 'tools', tools=[{'type': 'function', 'function': {'name': 'f', 'parameters': {}}}])
        self.refused(openai.BadRequestError, 'response_format.json_schema.schema', response_format={
            'type': 'json_schema', 'json_schema': {'name': 'x', 'schema': {'type': 'object', 'allOf': [{}]}}})
        self.refused(openai.BadRequestError, 'temperature', temperature='hot')
        self.refused(openai.BadRequestError, 'seed', seed=1.5)
        self.refused(openai.BadRequestError, 'top_logprobs', top_logprobs=2)
        self.refused(openai.BadRequestError, 'messages', 'context_length_exceeded',
                     messages=[{'role': 'user', 'content': 'word ' * 10000}])
        # The same when a stream was asked for: its status is true, since nothing was sent yet.
        self.refused(openai.BadRequestError, 'surprise', extra_body={'surprise': 1}, stream=True)
        for call in (lambda: self.client.embeddings.create(model=MODEL, input='x'),
                     lambda: self.client.responses.create(model=MODEL, input='x')):
            with self.assertRaises(openai.NotFoundError):
                call()


class Departures(OpenAiTest):
    """A client that goes: its sequences must end at the engine."""

    # Against the engine's own clock, which is its use of the processor: an answer of all the context's tokens takes it
    # many times as much, and one second passes no faster on a busy machine. Steps are what counts, and lavapipe takes six
    # times as long for one of 16 rows (159 tok/s where the cpu backend gives 1,000).
    ENDS_WITHIN_CPU_S = (6.0 if os.environ.get('E2E_BACKEND') == 'vulkan' else 1.0) * os.cpu_count()

    def long_stream(self, **fields):
        return self.client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True, logit_bias=LONGEST, **fields)

    def assert_sequences_end(self, engine, used_before):
        self.gateway.wait_for_metric('active_requests', 0, model=MODEL)
        wait_until_idle(engine)
        self.assertLess(cpu_seconds(engine) - used_before, self.ENDS_WITHIN_CPU_S)
        # And it serves on.
        self.assertTrue(self.chat(max_tokens=3, logit_bias=LONGEST).choices[0].message.content)
        self.assertEqual(self.gateway.engine_pid(), engine)

    def test_cancel_in_mid_stream(self):
        stream = self.long_stream()
        for _, _chunk in zip(range(5), stream):
            pass
        engine = self.gateway.engine_pid()
        self.gateway.wait_for_metric('active_requests', 1, model=MODEL)  # the one before it may be counted for a moment
        stream.close()
        used = cpu_seconds(engine)  # from when it had gone
        self.assert_sequences_end(engine, used)

    def test_cancel_many_choices_at_once(self):
        streams = [self.long_stream(n=4) for _ in range(4)]
        for stream in streams:
            next(iter(stream))
        engine = self.gateway.engine_pid()
        for stream in streams:
            stream.close()
        used = cpu_seconds(engine)
        self.assert_sequences_end(engine, used)

    def test_cancel_from_another_thread_while_reading(self):
        stream = self.long_stream()
        got = threading.Event()

        def read():
            try:
                for _ in stream:
                    got.set()
            except Exception:  # pylint: disable=broad-except
                pass  # whatever the SDK raises where its socket is closed under it

        reader = threading.Thread(target=read)
        reader.start()
        self.assertTrue(got.wait(DEADLINE_S))
        engine = self.gateway.engine_pid()
        stream.close()
        used = cpu_seconds(engine)
        reader.join(DEADLINE_S)
        self.assertFalse(reader.is_alive())
        self.assert_sequences_end(engine, used)

    def test_time_out_of_a_whole_answer(self):
        self.chat(max_tokens=1)
        engine = self.gateway.engine_pid()
        with self.assertRaises(openai.APITimeoutError):
            self.new_client(timeout=0.5).chat.completions.create(model=MODEL, messages=QUESTION, logit_bias=LONGEST)
        self.assert_sequences_end(engine, cpu_seconds(engine))

    def test_an_answer_that_nobody_waits_for_is_no_failure_of_the_model(self):
        """Clients that leave while the model wakes: the wake goes on, and the next one finds it."""
        with Gateway() as gateway:
            client = self.new_client(base_url=gateway.base_url, api_key=gateway.key, timeout=0.001)
            for _ in range(3):
                with self.assertRaises(openai.APIConnectionError):
                    client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=1)
            wait_for(lambda: gateway.metric('parked_requests') == 0, 'the places in the queue are free')
            self.assertTrue(gateway.ask())
            self.assertEqual(len(gateway.engine_pids()), 1)


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_streams_side_by_side(self):
        import asyncio  # pylint: disable=import-outside-toplevel
        with Gateway() as gateway:
            client = openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=DEADLINE_S)
            async with client:
                async def stream(seed):
                    text = ''
                    async for chunk in await client.chat.completions.create(model=MODEL, messages=QUESTION, seed=seed,
                                                                             max_tokens=16, stream=True):
                        text += chunk.choices[0].delta.content or ''
                    return text
                texts = await asyncio.gather(*(stream(seed) for seed in range(8)))
                self.assertEqual([await stream(seed) for seed in (0, 7)], [texts[0], texts[7]])


if __name__ == '__main__':
    unittest.main()
