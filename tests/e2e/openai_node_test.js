// OpenAI's own Node SDK against a gateway: BASE_URL and API_KEY say which; openai_node_test.py starts it.
const assert = require('node:assert');
const {test} = require('node:test');
const OpenAI = require('openai');

const {BASE_URL: baseURL, API_KEY: apiKey, MODEL: model} = process.env;
const newClient = (options = {}) => new OpenAI({baseURL, apiKey, maxRetries: 0, timeout: 120_000, ...options});
const client = newClient();
const messages = [{role: 'user', content: 'Name three colours.'}];
// With this logit_bias the tokens that end an answer never come.
const longest = {0: -100, 2: -100};

const chat = (fields, options) =>
  client.chat.completions.create({model, messages, max_tokens: 12, temperature: 0, ...fields}, options);

async function metric(name) {
  const text = await (await fetch(new URL('/metrics', baseURL))).text();
  return Number(text.match(new RegExp(`^spotinference_${name}{model="${model}"} (.*)$`, 'm'))[1]);
}

async function untilNoneIsActive() {
  const end = Date.now() + 120_000;
  while ((await metric('active_requests')) !== 0) assert(Date.now() < end, 'a request is still active');
}

test('errors come before the model is woken', async () => {
  const refused = async (errorClass, fields, expected, from = client) => {
    await assert.rejects(from.chat.completions.create({model, messages, ...fields}), error => {
      assert(error instanceof errorClass, error);
      for (const [name, value] of Object.entries(expected)) assert.strictEqual(error[name], value, `${name} of ${error}`);
      assert.match(error.requestID, /^req_/);
      return true;
    });
  };
  await refused(OpenAI.AuthenticationError, {}, {status: 401, code: 'invalid_api_key'}, newClient({apiKey: 'sk-wrong'}));
  await refused(OpenAI.NotFoundError, {model: 'gpt-4'}, {status: 404, code: 'model_not_found', param: 'model'});
  await refused(OpenAI.BadRequestError, {surprise: 1}, {status: 400, param: 'surprise'});
  await refused(OpenAI.BadRequestError, {tools: [{type: 'function', function: {name: 'f'}}]}, {param: 'tools'});
  await refused(OpenAI.BadRequestError, {temperature: 'hot'}, {param: 'temperature'});
  await refused(OpenAI.BadRequestError, {surprise: 1, stream: true}, {status: 400, param: 'surprise'});
  await refused(OpenAI.BadRequestError, {messages: [{role: 'user', content: 'word '.repeat(10000)}]},
                {code: 'context_length_exceeded', param: 'messages'});
  await assert.rejects(client.embeddings.create({model, input: 'x'}), OpenAI.NotFoundError);
  assert.strictEqual((await (await fetch(new URL('/metrics', baseURL))).text()).includes('spotinference_machines{'), false);
});

test('whole and streamed answers are equal', async () => {
  for (const fields of [{}, {temperature: 1, seed: 5}, {logprobs: true, top_logprobs: 2}]) {
    const whole = await chat(fields);
    assert.strictEqual(whole.object, 'chat.completion');
    assert.strictEqual(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
    let text = '', reason = null, usage = null;
    const logprobs = [];
    for await (const chunk of await chat({...fields, stream: true, stream_options: {include_usage: true}})) {
      if (chunk.usage) usage = chunk.usage;
      for (const choice of chunk.choices) {
        text += choice.delta.content ?? '';
        reason = choice.finish_reason ?? reason;
        logprobs.push(...(choice.logprobs?.content ?? []));
      }
    }
    assert.strictEqual(text, whole.choices[0].message.content);
    assert.strictEqual(reason, whole.choices[0].finish_reason);
    assert.strictEqual(usage.completion_tokens, whole.usage.completion_tokens);
    assert.deepStrictEqual(logprobs, whole.choices[0].logprobs?.content ?? []);
  }
});

test('completions, n, stop, models, request id', async () => {
  const prompt = 'One, two, three,';
  const whole = await client.completions.create({model, prompt, temperature: 0, max_tokens: 8, stop: 'six'});
  assert.strictEqual(whole.choices[0].finish_reason, 'stop');
  let text = '';
  const stream = await client.completions.create({model, prompt, temperature: 0, max_tokens: 8, stop: 'six', stream: true});
  for await (const chunk of stream) text += chunk.choices[0].text;
  assert.strictEqual(text, whole.choices[0].text);
  assert.deepStrictEqual((await chat({n: 3})).choices.map(choice => choice.index), [0, 1, 2]);
  const names = [];
  for await (const entry of client.models.list()) names.push(entry.id);
  assert.deepStrictEqual(names, [model]);
  assert.strictEqual((await client.models.retrieve(model)).id, model);
  const {data, response, request_id: id} = await chat({}).withResponse();
  assert.strictEqual(data.model, model);
  assert.match(id, /^req_/);
  assert.strictEqual(response.headers.get('x-request-id'), id);
});

test('the streaming helper', async () => {
  const runner = client.chat.completions.stream({model, messages, temperature: 0, stop: '.'});
  let text = '';
  runner.on('content', delta => { text += delta; });
  const final = await runner.finalChatCompletion();
  assert.strictEqual(final.choices[0].message.content, text);
});

test('an abort in mid-stream ends the sequences', async () => {
  const stream = await chat({stream: true, max_tokens: undefined, logit_bias: longest, n: 2});
  let chunks = 0;
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content && ++chunks === 5) stream.controller.abort();
  }
  await untilNoneIsActive();
  const controller = new AbortController();
  const whole = chat({max_tokens: undefined, logit_bias: longest}, {signal: controller.signal});
  while ((await metric('active_requests')) === 0) ;
  controller.abort();
  await assert.rejects(whole, OpenAI.APIUserAbortError);
  await untilNoneIsActive();
});

test('a time-out', async () => {
  await assert.rejects(chat({max_tokens: undefined, logit_bias: longest}, {timeout: 300}), OpenAI.APIConnectionTimeoutError);
  await untilNoneIsActive();
  assert((await chat({})).choices[0].message.content);
});

test('streams side by side', async () => {
  const text = async seed => {
    let all = '';
    for await (const chunk of await chat({seed, temperature: 1, stream: true})) all += chunk.choices[0].delta.content ?? '';
    return all;
  };
  const texts = await Promise.all([...Array(8).keys()].map(text));
  assert.strictEqual(await text(3), texts[3]);
});
