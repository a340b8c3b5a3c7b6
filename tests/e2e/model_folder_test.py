"""A Hugging Face folder, from engine:generate and through the gateway: what comes out is what the `tokenizers` package
and the model's own logits (backends/reference, itself held to transformers) give greedily.

model_folder_test.py GENERATE LOGITS_MAIN FOLDER/config.json
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np
from tokenizers import Tokenizer

from tests.e2e.harness import Gateway

PROMPTS = ['The theatre on the hill', 'int main(void) {\n    return 42;\n}', '  two  blanks, 1234567 and naïve']
BOS, EOS, TURN_END = 1, 2, 7
MAX_TOKENS = 12
TEMPLATE = "{% for message in messages %}{{ bos_token }}{{ message['content'] }}{{ eos_token }}{% endfor %}"


def without_broken(text):
    """Runs of bytes that are no UTF-8 as one replacement character: decoders differ in how many they write."""
    return re.sub('\ufffd+', '\ufffd', text)


class ModelFolderTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='model.', dir=os.environ['TEST_TMPDIR'])
        for name in os.listdir(os.path.dirname(CONFIG)):
            shutil.copy(os.path.join(os.path.dirname(CONFIG), name), self.folder)
        self.write('chat_template.jinja', TEMPLATE)
        self.write('generation_config.json', json.dumps({'eos_token_id': [EOS, TURN_END]}))
        self.tokenizer = Tokenizer.from_file(os.path.join(self.folder, 'tokenizer.json'))

    def write(self, name, text):
        with open(os.path.join(self.folder, name), 'w', encoding='utf-8') as file:
            file.write(text)

    def ids(self, prompt):
        return self.tokenizer.encode(prompt, add_special_tokens=False).ids

    def continued(self, prompt_ids):
        """The text that follows."""
        ids = list(prompt_ids)
        with tempfile.TemporaryDirectory() as temporary:
            ids_path, logits_path = os.path.join(temporary, 'ids'), os.path.join(temporary, 'logits')
            while len(ids) < len(prompt_ids) + MAX_TOKENS:
                with open(ids_path, 'w', encoding='ascii') as file:
                    file.write(' '.join(map(str, ids)) + '\n')
                subprocess.run([LOGITS_MAIN, self.folder, 'reference', ids_path, logits_path], check=True)
                best = int(np.fromfile(logits_path, np.float32).reshape(len(ids), -1)[-1].argmax())
                if best in (EOS, TURN_END):
                    break
                ids.append(best)
        return without_broken(self.tokenizer.decode(ids[len(prompt_ids):], skip_special_tokens=False))

    def test_generate(self):
        for prompt in PROMPTS:
            with self.subTest(prompt):
                got = subprocess.run([GENERATE, '--model', self.folder, '--prompt', prompt, '--backend', 'reference',
                                      f'--max_tokens={MAX_TOKENS}'], check=True, stdout=subprocess.PIPE).stdout
                wanted = self.continued(self.ids(prompt))
                self.assertNotEqual(wanted, '')
                self.assertEqual(without_broken(got.decode(errors='replace')), wanted + '\n')

    def test_gateway(self):
        config = (f'models: [{{name: tiny, weights: "file://{self.folder}", backend: cpu}}]\n'
                  'providers: [{local: {}}]\n')
        with Gateway(config) as gateway:
            options = {'model': 'tiny', 'temperature': 0, 'max_tokens': MAX_TOKENS}
            for prompt in PROMPTS:
                with self.subTest(prompt):
                    status, _, answer = gateway.post('/v1/completions', {**options, 'prompt': prompt})
                    self.assertEqual(status, 200, answer)
                    self.assertEqual(without_broken(answer['choices'][0]['text']), self.continued(self.ids(prompt)))
                    status, _, answer = gateway.post('/v1/chat/completions',
                                                     {**options, 'messages': [{'role': 'user', 'content': prompt}]})
                    self.assertEqual(status, 200, answer)
                    self.assertEqual(answer['usage']['prompt_tokens'], len(self.ids(prompt)) + 2)
                    self.assertEqual(without_broken(answer['choices'][0]['message']['content']),
                                     self.continued([BOS, *self.ids(prompt), EOS]))

    def test_a_missing_file_is_named(self):
        for name in ('config.json', 'model.safetensors', 'tokenizer.json'):
            with self.subTest(name):
                path = os.path.join(self.folder, name)
                os.rename(path, path + '.away')
                run = subprocess.run([GENERATE, '--model', self.folder, '--prompt', 'x'], stderr=subprocess.PIPE)
                os.rename(path + '.away', path)
                self.assertEqual(run.returncode, 1)
                self.assertIn(name, run.stderr.decode().splitlines()[-1])


if __name__ == '__main__':
    GENERATE, LOGITS_MAIN, CONFIG = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
