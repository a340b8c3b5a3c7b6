"""Our Jinja against Python's jinja2 on the chat templates of well-known models.

The templates are those that the source distribution of llama-cpp-python carries. Each is rendered over every
conversation of chat_template_cases.py, with and without tools, with and without the head of the assistant's turn, and
with values of every variable that it reads beside these. What counts is the same text, or raise_exception with the same
words, or an error in both.

Usage: chat_template_oracle_test.py RENDER_MAIN TEMPLATE…
"""

import collections
import pathlib
import sys

import jinja2.meta

import chat_template_cases as cases
import jinja_oracle

# Template: why it cannot be equal. It is still compared, and must differ, or it leaves this list.
UNEQUAL = {}

ALWAYS_SET = {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"}
GLOBALS = {"raise_exception", "strftime_now"}


def variables(env, name, source):
    """(what it is, variables) for each rendering of a template."""
    base = {"bos_token": "<s>", "eos_token": "</s>", **cases.NEEDED.get(name, {})}
    for title, messages in cases.CONVERSATIONS.items():
        for prompt in (True, False):
            start = {**base, "messages": messages, "add_generation_prompt": prompt}
            yield f"{title}, {prompt}", start
            yield f"{title}, {prompt}, three tools", {**start, "tools": cases.THREE_TOOLS}
    others = sorted(jinja2.meta.find_undeclared_variables(env.parse(source)) - ALWAYS_SET - GLOBALS)
    for title, with_tools in cases.TYPICAL:
        start = {**base, "messages": cases.CONVERSATIONS[title], "add_generation_prompt": True}
        for tools, value in cases.TOOLS.items():
            yield f"{title}, {tools}", {**start, "tools": value}
        if with_tools:
            start["tools"] = cases.THREE_TOOLS
        for other in others:
            for value in cases.VALUES.get(other, []) + cases.OTHER_VALUES:
                yield f"{title}, {other}={value!r}", {**start, other: value}


def first_difference(theirs, ours):
    if "text" not in theirs or "text" not in ours:
        return f"  expected {str(theirs)[:300]}\n  got      {str(ours)[:300]}"
    theirs, ours = theirs["text"], ours["text"]
    at = next((i for i, (a, b) in enumerate(zip(theirs, ours)) if a != b), min(len(theirs), len(ours)))
    return f"  at character {at}: expected {theirs[at - 40 : at + 60]!r}\n  got {ours[at - 40 : at + 60]!r}"


def main():
    binary, *paths = sys.argv[1:]
    templates = {path.stem: path.read_text(encoding="utf-8") for path in map(pathlib.Path, sorted(paths))}
    env = jinja_oracle.environment()
    outcomes = collections.Counter()
    failed = not templates
    for name, source in templates.items():
        named = list(variables(env, name, source))
        inputs = [each for _, each in named]
        (all_ours,) = jinja_oracle.render_ours(binary, [{"template": source, "variables": inputs}])
        all_theirs = jinja_oracle.render_theirs(env, source, inputs)
        outcomes.update(next(iter(theirs)) for theirs in all_theirs)
        if not any("text" in theirs for theirs in all_theirs):
            print(f"{name}: jinja2 rendered nothing, so nothing was compared")
            failed = True
        wrong = [
            (what, theirs, ours)
            for (what, _), theirs, ours in zip(named, all_theirs, all_ours, strict=True)
            if not jinja_oracle.agree(theirs, ours)
        ]
        if name in UNEQUAL:
            print(f"{name}: {len(wrong)} of {len(inputs)} differ, as expected: {UNEQUAL[name]}")
            failed |= not wrong
        elif wrong:
            print(f"{name}: {len(wrong)} of {len(inputs)} differ; the first:")
            print(f"  {wrong[0][0]}\n{first_difference(*wrong[0][1:])}")
            failed = True
    print(f"{len(templates)} templates, {len(UNEQUAL)} of them not expected to be equal; renderings: {dict(outcomes)}")
    sys.exit(failed)


main()
