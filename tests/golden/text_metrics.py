#!/usr/bin/env python3
"""What sacrebleu and rouge-score say of texts that are hard to cut: tests/golden/text_metrics.json.

    text_metrics.py [--check]      needs the wheels sacrebleu (2.6.0) and rouge-score (0.1.2 made the file that is kept)

tests/tasks/text_metrics_test.cpp compares ours with it. --check writes nothing, and fails where the wheels say something else now.
"""
import json
import pathlib
import sys

import sacrebleu
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

FILE = pathlib.Path(__file__).resolve().parent / "text_metrics.json"

CORPORA = {
    "ordinary": (["The cat sat on the mat.", "A lamp of oak, 20 cm wide.", "It is cheap and near the river."],
                 [["The cat is on the mat."], ["A lamp made of oak; 20 cm wide."], ["It is near the river and cheap."]]),
    "equal": (["One two three four five."], [["One two three four five."]]),
    "nothing common": (["alpha beta"], [["gamma delta epsilon"]]),
    "no run of four": (["good food", "nice place"], [["good food here"], ["a nice place"]]),
    "short words smoothed": (["the quick red fox jumps high", "zz yy"], [["the slow red dog jumps over", ], ["yy xx"]]),
    "empty text": (["", "a b c d e f"], [["something"], ["a b c d e g"]]),
    "several references": (["The Eagle is a cheap coffee shop by the river.", "Blue Spice has kids meals and pasta"],
                           [["The Eagle is a low priced coffee shop near the river.", "By the river is a cheap coffee shop, The Eagle."],
                            ["Blue Spice serves pasta to kids.", "Pasta for kids at Blue Spice", "At Blue Spice, kids eat pasta and meals"]]),
    "different numbers of references": (["a b c d e", "f g h i j"], [["a b c d"], ["f g h i", "g h i j k"]]),
    "marks": (["It's 3,000.50 dollars (or 2-3 euros)/day: \"fine\" &amp; good!", "A&lt;b&gt; e.g. x,y.z 5.- 1990-1999 <skipped>end"],
              [["It is 3,000.50 dollars, or 2 - 3 euros a day: 'fine' & good."], ["A<b> e.g. x, y. z 5. 1990 - 1999 end"]]),
    "points in a row": (["wait... what?!,, no.1.2.", ".,.,"], [["wait . . . what? no.1.2", ], [". , . ,"]]),
    "beyond ASCII": (["Größe Ñandú 東京 は、 大きい。 naïve—café", "İstanbul ΣΊΣΥΦΟΣ K\u212a \u3000wide"],
                     [["Die Größe: ñandú 東京は大きい。 naive cafe"], ["istanbul σίσυφος kk wide"]]),
    "lines": (["The first is red.\nThe second is blue and small.\n\nhyphen-\nated  word", "one\ntwo\nthree one"],
              [["The second one is blue.\nThe first is small and red.\nhyphenated word"], ["three one two\none two two"]]),
    "said again": (["a b a b a b a b", "la la la la la"], [["a b c a b c"], ["la la land"]]),
}


def made():
    rouge = rouge_scorer.RougeScorer(["rougeL", "rougeLsum"], use_stemmer=False)
    tokens = Tokenizer13a()
    corpora = {}
    for name, (texts, references) in CORPORA.items():
        most = max(map(len, references))
        streams = [[r[i] if i < len(r) else None for r in references] for i in range(most)]
        bleu, chrf = BLEU(), CHRF()
        scores = [rouge.score_multi(r, t) for r, t in zip(references, texts)]
        corpora[name] = {"texts": texts, "references": references, "tokens": [tokens(t.rstrip()).split() for t in texts],
                         "bleu": bleu.corpus_score(texts, streams).score, "chrf": chrf.corpus_score(texts, streams).score,
                         "bleu_signature": str(bleu.get_signature()), "chrf_signature": str(chrf.get_signature()),
                         "rouge_l": [s["rougeL"].fmeasure for s in scores], "rouge_lsum": [s["rougeLsum"].fmeasure for s in scores]}
    return {"sacrebleu": sacrebleu.__version__, "rouge_score": "0.1.2", "corpora": corpora}


def main():
    text = json.dumps(made(), ensure_ascii=False, indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        kept, now = json.loads(FILE.read_text(encoding="utf-8")), json.loads(text)
        different = [name for name in CORPORA if kept["corpora"].get(name) != now["corpora"][name]]
        print("different now: " + ", ".join(different) if different else f"{len(CORPORA)} corpora as kept")
        sys.exit(1 if different else 0)
    FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
