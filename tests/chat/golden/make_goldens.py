#!/usr/bin/env python3
"""What transformers renders, for tests/chat. Needs transformers (scripts/setup --oracles).

    make_goldens.py write [SHARED_DATA]     writes constructs.golden.json and templates.golden.json anew
    make_goldens.py check [SHARED_DATA]     compares them with the transformers that is installed
    make_goldens.py show SHARED_DATA TEMPLATE CONVERSATION CASE   prints what comes of a real template

constructs.json      templates of our own, a construct or two each, and the variables of all
conversations.json   conversations, tools and documents of our own
constructs.golden.json   texts of the former ("error" where rendering fails, "syntax" where parsing does)
templates.golden.json    of every template below SHARED_DATA, for every conversation: the hash of the texts of all cases. The
                         templates are others' and stay where they are.
"""
import datetime
import hashlib
import json
import pathlib
import sys

import jinja2
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).resolve().parent
NOW = datetime.datetime(2024, 7, 5, 13, 4, 9)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock


def read(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def construct(source, variables):
    try:
        template = chat_template_utils._compile_jinja_template(source)
    except Exception:
        return {"syntax": True}
    try:
        return {"text": template.render(**chat_template_utils._plain_template_data(variables))}
    except Exception:
        return {"error": True}


def constructs():
    given = read("constructs.json")
    return {source: construct(source, given["variables"]) for source in given["templates"]}


def sources(data):
    """(name, text) of every chat template below the folder."""
    for path in sorted(data.rglob("*.jinja")):
        yield path.relative_to(data).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted(data.rglob("*.json")):
        if "chat_template" not in path.name and path.name != "tokenizer_config.json":
            continue
        found = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        if isinstance(found, str):
            yield path.relative_to(data).as_posix(), found
        elif isinstance(found, list):
            for one in found:
                yield f"{path.relative_to(data).as_posix()}#{one['name']}", one["template"]


def cases(conversation):
    """(name, arguments of render_jinja_template) of a conversation; template_test.cpp has the same."""
    given = read("conversations.json")
    messages = [{k: v for k, v in m.items() if v is not None} for m in given["conversations"][conversation]]  # as apply_chat_template
    plain = dict(conversations=[messages], **given["variables"])
    yield "plain", plain
    yield "no tools", dict(plain, tools=[])
    for name, tools in given["tools"].items():
        yield name, dict(plain, tools=tools)
    yield "prompt", dict(plain, add_generation_prompt=True)
    yield "prompt, tools", dict(plain, add_generation_prompt=True, tools=given["tools"]["weather"])
    yield "documents", dict(plain, documents=given["documents"])
    for name, extra in given["extra"].items():
        yield name, dict(plain, tools=given["tools"]["weather"], **extra)


def rendered(source, arguments):
    """What came of it: "text", "refused" (by raise_exception) or "error"; and the text or message."""
    try:
        return "text", chat_template_utils.render_jinja_template(chat_template=source, **arguments)[0][0]
    except jinja2.exceptions.TemplateError as error:
        # The very class: others are derived from it.
        return ("refused", error.message) if type(error) is jinja2.exceptions.TemplateError else ("error", "")
    except Exception:
        return "error", ""


def digest(source, conversation):
    hashed = hashlib.sha256()
    for case, arguments in cases(conversation):
        kind, text = rendered(source, arguments)
        hashed.update(f"{case}\n{kind}\n{text}\n".encode())
    return hashed.hexdigest()[:32]


def templates(data):
    conversations = read("conversations.json")["conversations"]
    return {name: {"source": hashlib.sha256(source.encode()).hexdigest(), "conversations": {c: digest(source, c) for c in conversations}}
            for name, source in sources(data)}


def made(data):
    result = {"constructs.golden.json": constructs()}
    if data is not None:
        result["templates.golden.json"] = templates(data)
    return result


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    data = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    if command == "show":
        source = dict(sources(data))[sys.argv[3]]
        print(*rendered(source, dict(cases(sys.argv[4]))[sys.argv[5]]), sep="\n")
        return 0
    if command not in {"write", "check"}:
        sys.stderr.write(__doc__)
        return 2
    differing = 0
    for name, golden in made(data).items():
        text = json.dumps(golden, ensure_ascii=False, indent=1) + "\n"
        if command == "write":
            (HERE / name).write_text(text, encoding="utf-8")
        elif (HERE / name).read_text(encoding="utf-8") != text:
            print(f"{name} is not what transformers gives")
            differing = 1
    return differing


if __name__ == "__main__":
    sys.exit(main())
