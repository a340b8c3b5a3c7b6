"""Every response form against the official `openai` package: its types and its stream reader."""

import base64
import json
import subprocess
import sys
import unittest

import httpx2 as httpx
from openai import APIError, OpenAI
from openai.pagination import SyncPage
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.shared import ErrorObject

TEXT = '"q\\" \n\r\t\x01\x7f é € 😀 \x85\u2028\u2029 </script>'
SAMPLES = {}


def events(stream):
    """The data of each event, and the comments. An event is one data line and one empty line."""
    data, comments = [], []
    rest = stream.decode("utf-8")
    while rest:
        line, rest = rest.split("\n", 1)
        if line.startswith(": "):
            comments.append(line)
            continue
        assert line.startswith("data: ") and rest.startswith("\n"), line
        assert "\r" not in line and len(line.splitlines()) == 1, line
        data.append(line[len("data: ") :])
        rest = rest[1:]
    return data, comments


def check_exact(test, model, value, nullable=()):
    """`value` validates strictly, and every member at every level is one that the type declares."""
    parsed = model.model_validate(value, strict=True)
    test.assertEqual(parsed.model_dump(exclude_unset=True), value)

    def no_extras(node):
        if isinstance(node, list):
            for element in node:
                no_extras(element)
        elif hasattr(node, "model_fields_set"):
            test.assertFalse(node.model_extra, node)
            for name in node.model_fields_set:
                no_extras(getattr(node, name))

    no_extras(parsed)
    return parsed


class Whole(unittest.TestCase):
    def test_chat(self):
        body = json.loads(SAMPLES["chat.whole"])
        parsed = check_exact(self, ChatCompletion, body)
        self.assertEqual(parsed.choices[0].message.content, TEXT)
        self.assertEqual([c.finish_reason for c in parsed.choices], ["stop", "length"])
        self.assertIsNone(parsed.choices[0].logprobs)
        tokens = parsed.choices[1].logprobs.content
        self.assertEqual(bytes(b for t in tokens for b in t.bytes).decode(), "A\n€")
        self.assertEqual([t.token for t in tokens], ["A\n", "\\xe2\\x82", "\\xac"])
        self.assertEqual([t.logprob for t in tokens], [-0.25, -1.5, 0])
        self.assertEqual(
            [(t.token, t.bytes, t.logprob) for t in tokens[0].top_logprobs],
            [("A\n", [65, 10], -0.25), ("\\xff", [255], -9999.0)],
        )
        self.assertEqual(
            (
                parsed.usage.prompt_tokens,
                parsed.usage.completion_tokens,
                parsed.usage.total_tokens,
                parsed.usage.prompt_tokens_details.cached_tokens,
            ),
            (12, 34, 46, 5),
        )
        self.assertEqual(
            (parsed.id, parsed.created, parsed.model, parsed.system_fingerprint),
            ("id-1", 1700000000, 'a "model"', "cpu/1"),
        )
        for choice in body[
            "choices"
        ]:  # required by the specification, though the SDK would take less
            self.assertEqual(set(choice), {"index", "message", "logprobs", "finish_reason"})
            self.assertLessEqual({"role", "content", "refusal"}, set(choice["message"]))

    def test_completion(self):
        body = json.loads(SAMPLES["completion.whole"])
        parsed = check_exact(self, Completion, body)
        self.assertEqual(parsed.choices[0].text, TEXT)
        logprobs = parsed.choices[1].logprobs
        self.assertEqual(logprobs.tokens, ["A\n", "bytes:\\xe2\\x82", "bytes:\\xac"])
        self.assertEqual(logprobs.text_offset, [0, 2, 3])
        self.assertEqual(logprobs.token_logprobs, [-0.25, -1.5, 0])
        self.assertEqual(
            logprobs.top_logprobs,
            [{"A\n": -0.25, "bytes:\\xff": -9999.0}, {"bytes:\\xe2\\x82": -1.5}, {}],
        )
        for choice in body["choices"]:
            self.assertEqual(set(choice), {"index", "text", "logprobs", "finish_reason"})

    def test_models(self):
        check_exact(self, Model, json.loads(SAMPLES["model"]))
        page = check_exact(self, SyncPage[Model], json.loads(SAMPLES["models"]))
        self.assertEqual([m.id for m in page.data], ["smollm2-135m-instruct", "b"])
        self.assertEqual(json.loads(SAMPLES["models_none"]), {"object": "list", "data": []})

    def test_errors(self):
        for name, param, code in [
            ("error_named", "messages[0].role", "invalid_value"),
            ("error_bare", None, None),
        ]:
            body = json.loads(SAMPLES[name])
            self.assertEqual(set(body), {"error"})
            self.assertEqual(set(body["error"]), {"message", "type", "param", "code"})
            error = check_exact(self, ErrorObject, body["error"])
            self.assertEqual((error.param, error.code), (param, code))
        self.assertNotIn("secret", SAMPLES["error_bare"].decode())


class Stream(unittest.TestCase):
    def chunks(self, name, model):
        data, comments = events(SAMPLES[name])
        self.assertEqual(len(comments), 2)
        self.assertEqual(data[-1], "[DONE]")
        parsed = []
        for text in data[:-1]:
            chunk = json.loads(text)
            for choice in chunk["choices"]:
                if model is Completion and choice["finish_reason"] is None:
                    # The API sends null until the end; the SDK's type knows whole answers only.
                    checked = dict(chunk, choices=[dict(choice, finish_reason="stop")])
                    break
            else:
                checked = chunk
            check_exact(self, model, checked)
            parsed.append(chunk)
        return parsed

    def check_usage(self, chunks, asked):
        if not asked:
            self.assertFalse(any("usage" in chunk for chunk in chunks))
            return chunks
        self.assertTrue(all("usage" in chunk and chunk["usage"] is None for chunk in chunks[:-1]))
        self.assertEqual(chunks[-1]["choices"], [])
        self.assertEqual(chunks[-1]["usage"]["total_tokens"], 46)
        self.assertEqual(chunks[-1]["usage"]["prompt_tokens_details"], {"cached_tokens": 5})
        return chunks[:-1]

    def test_chat(self):
        for asked in (False, True):
            chunks = self.chunks(
                "chat.stream_usage" if asked else "chat.stream", ChatCompletionChunk
            )
            choices = [chunk["choices"][0] for chunk in self.check_usage(chunks, asked)]
            self.assertEqual([c["index"] for c in choices], [0, 1, 0, 1, 1, 0, 1])
            self.assertEqual(
                [c["delta"].get("role") for c in choices], ["assistant"] * 2 + [None] * 5
            )
            self.assertEqual(
                "".join(c["delta"].get("content", "") for c in choices if c["index"] == 0), TEXT
            )
            self.assertEqual([c["finish_reason"] for c in choices], [None] * 5 + ["stop", "length"])
            content = [t for c in choices if c["logprobs"] for t in c["logprobs"]["content"]]
            self.assertEqual(
                content, json.loads(SAMPLES["chat.whole"])["choices"][1]["logprobs"]["content"]
            )

    def test_completion(self):
        for asked in (False, True):
            chunks = self.chunks(
                "completion.stream_usage" if asked else "completion.stream", Completion
            )
            choices = [chunk["choices"][0] for chunk in self.check_usage(chunks, asked)]
            self.assertEqual("".join(c["text"] for c in choices if c["index"] == 0), TEXT)
            self.assertEqual([c["finish_reason"] for c in choices], [None] * 3 + ["stop", "length"])
            whole = json.loads(SAMPLES["completion.whole"])["choices"][1]["logprobs"]
            for column, values in whole.items():  # text_offset too goes on from chunk to chunk
                self.assertEqual(
                    [v for c in choices if c["logprobs"] for v in c["logprobs"][column]], values
                )


class Client(unittest.TestCase):
    """The SDK itself reads the bytes, in pieces that split characters, lines and events."""

    def client(self, body, status=200, content_type="text/event-stream"):
        def answer(request):
            pieces = (body[i : i + 7] for i in range(0, len(body), 7))
            return httpx.Response(status, headers={"content-type": content_type}, content=pieces)

        return OpenAI(
            api_key="k",
            base_url="http://test/v1",
            max_retries=0,
            http_client=httpx.Client(transport=httpx.MockTransport(answer)),
        )

    def test_chat_stream(self):
        client = self.client(SAMPLES["chat.stream_usage"])
        stream = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], stream=True
        )
        text = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in stream
            if chunk.choices and chunk.choices[0].index == 0
        )
        self.assertEqual(text, TEXT)

    def test_error_in_stream(self):
        client = self.client(
            SAMPLES["chat.stream"].split(b"data: [DONE]")[0] + SAMPLES["error_event"]
        )
        stream = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], stream=True
        )
        with self.assertRaises(APIError) as raised:
            list(stream)
        self.assertEqual(
            (raised.exception.param, raised.exception.code), ("messages[0].role", "invalid_value")
        )


if __name__ == "__main__":
    for line in subprocess.check_output([sys.argv.pop(1)], text=True).splitlines():
        name, encoded = line.split(" ")
        SAMPLES[name] = base64.b64decode(encoded)
    unittest.main()
