"""Our Jinja against Python's jinja2, feature by feature, and on the bundled model's own chat template."""

import sys

import gguf

import jinja_cases
import jinja_oracle


def main():
    binary, model = sys.argv[1:]
    bundled = gguf.GGUFReader(model).fields["tokenizer.chat_template"].contents()
    jobs = [{"template": t, "variables": [jinja_cases.VARIABLES]} for t in jinja_cases.SNIPPETS]
    for template in [bundled, *jinja_cases.CHAT_TEMPLATES]:
        jobs.append({"template": template, "variables": jinja_cases.CONVERSATIONS})

    env = jinja_oracle.environment()
    renderings = errors = wrong = 0
    for job, all_ours in zip(jobs, jinja_oracle.render_ours(binary, jobs), strict=True):
        all_theirs = jinja_oracle.render_theirs(env, job["template"], job["variables"])
        for theirs, ours in zip(all_theirs, all_ours, strict=True):
            renderings += 1
            errors += "text" not in theirs
            if not jinja_oracle.agree(theirs, ours):
                print(f"TEMPLATE {job['template']!r}\nEXPECTED {theirs}\nGOT      {ours}\n")
                wrong += 1
    print(f"{renderings} renderings, {errors} of them errors, {wrong} unlike jinja2")
    sys.exit(wrong > 0)


main()
