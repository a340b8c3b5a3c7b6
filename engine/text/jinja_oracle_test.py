"""Our Jinja against Python's jinja2, feature by feature, and on the bundled model's own chat template."""

import sys
import unicodedata

import gguf

import jinja_cases
import jinja_oracle

UNICODE_CASE = "14.0.0"  # what unicode_case.cc was written from


def case_jobs():
    """Every character that could have a case, on its own, in each case."""
    if unicodedata.unidata_version != UNICODE_CASE:
        print(
            f"not compared: case by character, which is Unicode {UNICODE_CASE}; Python's is {unicodedata.unidata_version}"
        )
        return []
    chars = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    pieces = [{"chars": "".join(chars[i : i + 20000])} for i in range(0, len(chars), 20000)]
    methods = ("upper", "lower", "title", "capitalize")
    return [{"template": "{% for c in chars %}|{{ c." + m + "() }}{% endfor %}", "variables": pieces} for m in methods]


def main():
    binary, model = sys.argv[1:]
    bundled = gguf.GGUFReader(model).fields["tokenizer.chat_template"].contents()
    jobs = [{"template": t, "variables": [jinja_cases.VARIABLES]} for t in jinja_cases.SNIPPETS]
    for template in [bundled, *jinja_cases.CHAT_TEMPLATES]:
        jobs.append({"template": template, "variables": jinja_cases.CONVERSATIONS})
    jobs += case_jobs()

    env = jinja_oracle.environment()
    renderings = errors = wrong = 0
    for job, all_ours in zip(jobs, jinja_oracle.render_ours(binary, jobs), strict=True):
        all_theirs = jinja_oracle.render_theirs(env, job["template"], job["variables"])
        for theirs, ours in zip(all_theirs, all_ours, strict=True):
            renderings += 1
            errors += "text" not in theirs
            if not jinja_oracle.agree(theirs, ours):
                print(f"TEMPLATE {job['template']!r}\nEXPECTED {str(theirs)[:5000]}\nGOT      {str(ours)[:5000]}\n")
                wrong += 1
    print(f"{renderings} renderings, {errors} of them errors, {wrong} unlike jinja2")
    sys.exit(wrong > 0)


main()
