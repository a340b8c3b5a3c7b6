"""Our Jinja against Python's jinja2, set up as Hugging Face's apply_chat_template does."""

import datetime
import json
import subprocess
import sys

import gguf
import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

import jinja_cases


class Generation(jinja2.ext.Extension):
    """{% generation %}: prints its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = lambda value, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = datetime.datetime(2026, 11, 25, 3, 4, 5).strftime
    return env


def main():
    binary, model = sys.argv[1:]
    bundled = gguf.GGUFReader(model).fields["tokenizer.chat_template"].contents()
    jobs = [{"template": t, "variables": jinja_cases.VARIABLES} for t in jinja_cases.SNIPPETS]
    for template in [bundled, *jinja_cases.CHAT_TEMPLATES]:
        for conversation in jinja_cases.CONVERSATIONS:
            jobs.append({"template": template, "variables": conversation})
    out = subprocess.run([binary], input=json.dumps(jobs).encode(), stdout=subprocess.PIPE, check=True).stdout

    env = environment()
    wrong = errors = 0
    for job, ours in zip(jobs, json.loads(out), strict=True):
        try:
            theirs = {"text": env.from_string(job["template"]).render(**job["variables"])}
        except Exception as error:  # of any kind: what matters is that there is one
            theirs = {"error": str(error)}
            errors += 1
        if theirs.keys() != ours.keys() or theirs.get("text") != ours.get("text"):
            print(f"TEMPLATE {job['template']!r}\nEXPECTED {theirs}\nGOT      {ours}\n")
            wrong += 1
        elif "error" in theirs and "refused:" in theirs["error"] and theirs != ours:
            print(f"TEMPLATE {job['template']!r}: raise_exception gave {ours}, expected {theirs}")
            wrong += 1
    print(f"{len(jobs)} renderings, {errors} of them errors, {wrong} unlike jinja2")
    sys.exit(wrong > 0)


main()
