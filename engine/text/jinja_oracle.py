"""Python's jinja2, set up as Hugging Face's apply_chat_template does, and our Jinja held against it."""

import datetime
import json
import subprocess

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """{% generation %}: prints its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


class Refused(jinja2.exceptions.TemplateError):
    """The template called raise_exception."""


def raise_exception(message):
    raise Refused(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = datetime.datetime(2026, 11, 25, 3, 4, 5).strftime  # as in render_main.cc
    return env


def render_theirs(env, source, variables):
    """For each of `variables`: {"text": …}, {"refused": …} by raise_exception, or {"error": …}."""
    try:
        template = env.from_string(source)
    except Exception as error:  # of any kind: what matters is that there is one
        return [{"error": str(error)}] * len(variables)
    results = []
    for each in variables:
        try:
            results.append({"text": template.render(**each)})
        except Refused as error:
            results.append({"refused": str(error)})
        except Exception as error:
            results.append({"error": f"{type(error).__name__}: {error}"})
    return results


def render_ours(binary, jobs):
    """The same by render_main for a list of {"template": …, "variables": […]}: a list of lists."""
    done = subprocess.run([binary], input=json.dumps(jobs).encode(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def agree(theirs, ours):
    """The same text, or refused in the same words, or an error in both, in whatever words."""
    return theirs == ours or ("error" in theirs and "error" in ours)
