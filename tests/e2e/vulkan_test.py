"""The gateway with `backend: vulkan`, on the pinned lavapipe: an answer, and the same answer across the engine's death.

Short, since every token costs a processor a fifth of a second here.
"""

import os
import signal
import unittest

from tests.e2e.harness import MODEL, Gateway, wait_for_exit

# Counting on is so likely that the cpu backend, which rounds its inputs to int8, says the same.
QUESTION = {'prompt': 'One, two, three,', 'temperature': 0, 'max_tokens': 8}
TEXT = ' four, five, six, seven,'
CONFIG = f"""
models:
  - {{name: {MODEL}, weights: bundled, backend: vulkan, context_tokens: 512}}
  - {{name: on-cpu, weights: bundled, backend: cpu, context_tokens: 512}}
"""


class VulkanTest(unittest.TestCase):
    def test_an_answer_and_a_resumed_one(self):
        with Gateway(CONFIG) as gateway:
            def ask(model):
                status, _, body = gateway.post('/v1/completions', {**QUESTION, 'model': model})
                self.assertEqual(status, 200, body)
                return body

            answer = ask(MODEL)
            self.assertIn('vulkan', answer['system_fingerprint'])
            self.assertEqual(answer['usage']['completion_tokens'], 8)
            self.assertEqual(answer['choices'][0]['text'], TEXT)

            engine = gateway.engine_pid()
            with gateway.stream({**QUESTION, 'model': MODEL}, path='/v1/completions') as stream:
                stream.read_until(b' four')
                os.kill(engine, signal.SIGKILL)
                wait_for_exit(engine, 'it was killed')
                stream.read_all()
                text = ''.join(choice['text'] for event in stream.events() if event != '[DONE]'
                               for choice in event['choices'])
                self.assertEqual(text, TEXT)

            on_cpu = ask('on-cpu')
            self.assertNotEqual(on_cpu['system_fingerprint'], answer['system_fingerprint'])
            self.assertEqual(on_cpu['choices'][0]['text'], TEXT)


if __name__ == '__main__':
    unittest.main()
