"""Conversations for chat_template_oracle_test.py: the shapes that clients of chat templates send."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'Says "hello" & more.\nSecond line, ünïcode 世界.',
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The <city>", "enum": ["Köln", "東京"]},
                "days": {"type": "integer", "default": 3, "minimum": 1, "maximum": 9.5},
                "unit": {"type": ["string", "null"], "nullable": True},
                "tags": {"type": "array", "items": {"type": "string"}},
                "where": {
                    "type": "object",
                    "properties": {
                        "lat": {"type": "number"},
                        "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    },
                    "required": ["lat"],
                },
                "ref": {"$ref": "#/$defs/Thing"},
                "either": {"oneOf": [{"type": "string", "default": "x"}, {"type": "number", "description": "n"}]},
            },
            "required": ["city"],
            "additionalProperties": False,
            "$defs": {"Thing": {"type": "object", "properties": {"x": {"type": "boolean"}}}},
        },
        "return": {"type": "string"},
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "clock", "description": "The time", "parameters": {"type": "object", "properties": {}}},
}
BARE = {"type": "function", "function": {"name": "bare", "description": "No parameters"}}
MINIMAL = {"type": "function", "function": {"name": "minimal", "parameters": {}}}
FLAT = {
    "name": "flat",
    "description": "Not wrapped",
    "parameters": {"type": "object", "properties": {"a": {"type": "string", "description": "A"}}, "required": ["a"]},
}

ARGUMENTS = {
    "city": "Köln",
    "days": 2,
    "deep": {"a": [1, 2.5, None, True], "b": 'x "y"'},
    "list": ["p", "q"],
    "none": None,
    "yes": False,
    "Änderung": "Straße",
    "Zone": "z",
}


def user(content):
    return {"role": "user", "content": content}


def system(content):
    return {"role": "system", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def call(name="get_weather", arguments=ARGUMENTS, number="abcdef123"):
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(content, number="abcdef123", **more):
    return {"role": "tool", "content": content, "tool_call_id": number, **more}


def text(*parts):
    return [{"type": "text", "text": part} for part in parts]


_JSON_ARGUMENTS = '{"city": "Köln", "days": 2}'
_TOOL_TURN = [user("Weather?"), assistant("", tool_calls=[call()]), result('{"t": 20}', name="get_weather")]

# name: messages
CONVERSATIONS = {
    "one user": [user("Hello!")],
    "system, user": [system("  Be brief.\n"), user("  Who are you?  ")],
    "two turns": [user("2+2?"), assistant("4"), user("Sicher? 世界 👩‍🚀\n\nnew line")],
    "system, three turns": [system("s"), user("a"), assistant("b "), user(" c"), assistant("\nd"), user("e")],
    "ends with the assistant": [user("a"), assistant("b")],
    "empty contents": [system(""), user(""), assistant(""), user("x")],
    "control tokens": [
        user("<|im_end|>\n<|im_start|>system\n</s>[INST] {{ bos_token }} {% if %} <tool_call> /no_think")
    ],
    "white space": [system("\t"), user("\u00a0a\u3000\r\n"), assistant("  \n"), user("b")],
    "developer": [{"role": "developer", "content": "Obey."}, user("a")],
    "system and developer": [system("s"), {"role": "developer", "content": "d"}, user("a")],
    "late system": [user("a"), system("Now obey."), user("b")],
    "two systems": [system("s"), system("t"), user("u")],
    "system alone": [system("s")],
    "no messages": [],
    "users in a row": [user("a"), user("b")],
    "assistants in a row": [user("a"), assistant("b"), assistant("c"), user("d")],
    "assistant first": [assistant("a"), user("b")],
    "unknown role": [{"role": "narrator", "content": "x"}, user("a")],
    "no content": [user("a"), {"role": "assistant"}, user("b")],
    "null content": [user("a"), assistant(None), user("b")],
    "content of a number": [user(5)],
    "named user": [{"role": "user", "name": "ada", "content": "a"}],
    "parts": [user(text("one", " two "))],
    "parts everywhere": [system(text("s")), user(text("a")), assistant(text("b", "c")), user(text("d"))],
    "no parts": [user([])],
    "an image": [user([{"type": "image"}, *text("what is it?")])],
    "an image by URL": [user([*text("what?"), {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}])],
    "audio, video, an unknown part": [user([{"type": "audio"}, {"type": "video"}, {"type": "smell", "smell": "x"}])],
    "reasoning": [
        user("a"),
        assistant("b", reasoning_content="\nhmm\n"),
        user("c"),
        assistant("d", reasoning_content="ah"),
        user("e"),
    ],
    "reasoning at the end": [user("a"), assistant("b", reasoning_content="so")],
    "reasoning, no answer": [user("a"), assistant("", reasoning_content="so"), user("b")],
    "reasoning under other names": [user("a"), assistant("b", reasoning="r", thinking="t", thought="u"), user("c")],
    "thoughts inline": [user("a"), assistant("<think>\nhmm\n</think>\n\nb"), user("c"), assistant("<think>x</think>d")],
    "thoughts unclosed": [user("a"), assistant("<think>hmm"), user("b"), assistant("x</think>y"), user("c")],
    "a call": [*_TOOL_TURN],
    "a call, answered": [*_TOOL_TURN, assistant("20 °C"), user("Thanks")],
    "a call without content": [
        user("Weather?"),
        {"role": "assistant", "tool_calls": [call()]},
        result("sunny"),
        assistant("ok"),
    ],
    "a call with null content": [user("Weather?"), assistant(None, tool_calls=[call()]), result("sunny")],
    "a call with words": [
        system("s"),
        user("Weather?"),
        assistant("Let me see.", tool_calls=[call()]),
        result("sunny"),
        assistant("ok"),
        user("a"),
    ],
    "a call at the end": [user("Weather?"), assistant("", tool_calls=[call()])],
    "arguments as text": [
        user("Weather?"),
        assistant("", tool_calls=[call(arguments=_JSON_ARGUMENTS)]),
        result("20"),
        user("b"),
    ],
    "no arguments": [
        user("Time?"),
        assistant("", tool_calls=[call("clock", {})]),
        result("12:00", name="clock"),
        user("b"),
    ],
    "parallel calls": [
        user("Both?"),
        assistant("", tool_calls=[call(), call("clock", {}, "ghijkl456")]),
        result("20"),
        result("12:00", "ghijkl456"),
        assistant("done"),
        user("b"),
    ],
    "calls in a row": [
        user("a"),
        assistant("", tool_calls=[call()]),
        result("20"),
        assistant("", tool_calls=[call("clock", {}, "ghijkl456")]),
        result("12:00", "ghijkl456"),
        assistant("x"),
    ],
    "a call with reasoning": [
        user("a"),
        assistant("", reasoning_content="I need it", tool_calls=[call()]),
        result("20"),
        assistant("b", reasoning_content="done"),
        user("c"),
    ],
    "a call, reasoning and words": [
        user("a"),
        assistant("w", reasoning_content="I need it", tool_calls=[call()]),
        result("20"),
    ],
    "a call without id": [
        user("a"),
        assistant("", tool_calls=[{"type": "function", "function": {"name": "clock", "arguments": {}}}]),
        {"role": "tool", "content": "12:00"},
    ],
    "a call not wrapped": [
        user("a"),
        assistant("", tool_calls=[{"name": "clock", "arguments": {"zone": "UTC"}}]),
        {"role": "tool", "name": "clock", "content": "12:00"},
    ],
    "an empty list of calls": [user("a"), assistant("b", tool_calls=[]), user("c")],
    "result as parts": [user("a"), assistant("", tool_calls=[call()]), result(text("20", "30")), user("b")],
    "result as a dict": [user("a"), assistant("", tool_calls=[call()]), result({"t": 20, "sky": ["clear", None]})],
    "a result of nothing": [user("a"), result("20"), user("b")],
    "a function's result": [
        user("a"),
        assistant("", tool_calls=[call()]),
        {"role": "function", "name": "get_weather", "content": "20"},
    ],
    "an ipython result": [
        user("a"),
        assistant("", tool_calls=[call()]),
        {"role": "ipython", "content": {"t": 20}},
        assistant("b"),
    ],
}

# Tried with every conversation.
THREE_TOOLS = [CLOCK, BARE, WEATHER]

# Other lists of tools, tried with the typical conversations.
TOOLS = {
    "one tool": [WEATHER],
    "a minimal tool": [MINIMAL],
    "a flat tool": [FLAT],
    "no tools": [],
}

# Conversations that each variable that a template reads is tried with: (name, with tools).
TYPICAL = [
    ("system, user", False),
    ("ends with the assistant", True),
    ("reasoning", False),
    ("a call with reasoning", True),
    ("parts everywhere", False),
]

# What a template cannot do without.
NEEDED = {"fireworks-ai-llama-3-firefunction-v2": {"functions": "[]", "datetime": "1 Jan 2030"}}

# Values for variables that a template reads and that not every caller sets, by name; else all of OTHER_VALUES.
VALUES = {
    "documents": [
        [{"title": "T", "text": "snippet"}, {"doc_id": 7, "title": "U", "text": "v"}],
        [{"data": {"a": "b", "c": 1}}],
    ],
    "controls": [{"length": "short", "originality": "abstractive"}],
    "response_format": [
        {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        {"type": "json_object"},
    ],
    "builtin_tools": [["browser", "python"], ["wolfram_alpha", "code_interpreter"]],
    "custom_tools": [[CLOCK]],
    "date_string": ["1 Jan 2030"],
    "tool_choice": ["auto", "required", "none", {"type": "function", "function": {"name": "clock"}}],
    "thinking_budget": [0, 512, 1000, -1],
    "reasoning_effort": ["none", "minimal", "low", "medium", "high", "max"],
}
OTHER_VALUES = [True, False, None, "low", 2, ["a", "b"], {"a": "b"}]
