"""Task files answered in a runtime beside the same ones in our own forward."""
from common import *

TASKS = Path(__file__).resolve().parents[1] / "golden" / "tasks"


def flat(responses):
    for response in responses:
        yield from flat(response) if isinstance(response, list) else [response]


def samples(model, run, *options):
    """Of tasks of every kind, what the model said to each question: {(task, document, filter): [texts, numbers among them]}."""
    tasks = [part for name in ("choice", "cloze", "pages", "math") for part in ("--task", TASKS / f"{name}.yaml")]
    frugal("evaluate", model, *tasks, "--idle-seconds", "0", "--run", run, *options)
    found = {}
    for path in run.rglob("samples_*.jsonl"):
        for line in path.read_text().splitlines():
            sample = json.loads(line)
            found[(path.stem, sample["doc_id"], sample["filter"])] = list(flat(sample["resps"]))
    return found


def compare_tasks(name, own, served, tolerance, texts=True):
    """`tolerance`: of a log-likelihood, as a share of it. Texts and whether a continuation is what greedy decoding gives are the same;
    texts=False: of a runtime whose rounding turns near ties of a model without sense, behind which its texts go elsewhere."""
    expect_true(f"{name}: task files have the same questions", own.keys() == served.keys() and len(own) >= 12, f"{len(own)} of them")
    furthest, numbers, different = 0.0, 0, []
    for key, said in own.items():
        for mine, other in zip(said, served[key], strict=True):
            if key[0] == "samples_math":
                different += [(key, mine, other)] if texts and mine != other else []
            elif mine in ("True", "False"):
                different += [(key, mine, other)] if mine != other else []
            else:
                furthest, numbers = max(furthest, abs(float(mine) - float(other)) / abs(float(mine))), numbers + 1
    expect(f"{name}: {numbers} log-likelihoods", furthest, 0.0, tolerance)
    expect_true(f"{name}: the same texts and greedy continuations", not different, str(different[:3]))
