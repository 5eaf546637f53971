"""About ten megabytes of mixed text, the same for every run: novels and code where they are at hand, scripts of many kinds, emoji,
combining marks, every code point of every plane, bytes that are no text. In documents of 1 byte to some ten kilobytes."""
import random
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = "the of and to in that was he his it with as for had you not be her on at by which have or from this him but all she they were".split()
SCRIPTS = {"han": (0x4E00, 0x9FFF), "hiragana": (0x3041, 0x3096), "katakana": (0x30A1, 0x30FA), "hangul": (0xAC00, 0xD7A3),
           "cyrillic": (0x410, 0x44F), "greek": (0x391, 0x3C9), "arabic": (0x621, 0x64A), "hebrew": (0x5D0, 0x5EA),
           "devanagari": (0x904, 0x939), "thai": (0xE01, 0xE30), "tamil": (0xB85, 0xBB9), "jamo": (0x1100, 0x11FF),
           "latin": (0xC0, 0x24F), "fullwidth": (0xFF01, 0xFF5E), "mathematical": (0x1D400, 0x1D7FF)}
EMOJI = ["🙂", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "❤️", "1️⃣", "🧑🏿‍🚀", "☕", "🫠"]
MARKERS = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "[INST]", "[/INST]", "<start_of_turn>", "▁", "▁▁",
           "<0x0A>", "<bos>", "  <s>  ", "Ġ", "<table>"]
SPACES = [" ", "  ", "\n", "\n\n", "\r\n", "\t", "\t\t", " \n ", "\u00a0", "\u3000", "\u2028", "\u180e", "\u200b", "\x0b", "\x0c", "\x85", " " * 17]
SIGNS = list("!?.,;:'\"()[]{}<>/\\|@#$%^&*-_=+~`") + ["'s", "'S", "'ll", "'RE", "'ſ", "’s", "…", "—", "...", "//", "***", "\n/", "!\n"]


def pieces_of(text, random, most=32 << 10):
    at = 0
    while at < len(text):
        size = min(random.choice([64, 1000, 8000, most]), len(text) - at)
        yield text[at:at + size]
        at += size


def novels(data, size, random):
    folder = Path(data) / "english-novels-100"
    if folder.is_dir():
        files = sorted(folder.glob("*.txt"))
        return "\n".join(random.choice(files).read_text("utf-8", "replace")[:200_000] for _ in range(size // 200_000))
    return "".join(random.choice(WORDS) + random.choice([" "] * 9 + [", ", ".\n"]) for _ in range(size // 5))


def code(size):
    files = sorted(p for folder in ("lib", "tests", "tools") for p in (ROOT / folder).rglob("*") if p.suffix in (".cpp", ".h", ".py", ".json"))
    text = ""
    for path in files:
        text += path.read_text("utf-8")[:20_000]
        if len(text) >= size:
            return text[:size]
    return text


def scripts(size, random):
    out, length = [], 0
    while length < size:
        low, high = random.choice(list(SCRIPTS.values()))
        word = "".join(chr(random.randint(low, high)) for _ in range(random.randint(1, 12)))
        out.append(word + random.choice(["", " ", " ", "\n", "、", "。", ", ", "12 "]))
        length += len(out[-1])
    return "".join(out)


def marked(size, random, marks):
    out = []
    while len(out) < size:
        out.append(random.choice("aeioucnszAEIOUÅéüйΩαかは가각נश"))
        out.extend(random.choices(marks, k=random.choice([0, 1, 1, 2, 4])))
        out.append(random.choice(["", "", " ", "\n"]))
    return "".join(out)


def mixture(size, random):
    kinds = [lambda: random.choice(WORDS), lambda: random.choice(WORDS).title(), lambda: random.choice(SPACES), lambda: random.choice(SIGNS),
             lambda: random.choice(EMOJI), lambda: random.choice(MARKERS), lambda: str(random.randint(0, 10 ** random.randint(1, 12))),
             lambda: chr(random.randint(0, 0x7F)), lambda: chr(random.randint(0x80, 0x2FFF)), lambda: random.choice(WORDS).upper()]
    out, length = [], 0
    while length < size:
        out.append(random.choice(kinds)())
        length += len(out[-1])
    return "".join(out)


def every_code_point(random):
    """Each once, in order, now and then between letters."""
    out = []
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000:
            continue
        out.append(chr(point))
        if random.random() < 0.2:
            out.append(random.choice([" ", "a", "7", "\n", "e"]))
    return "".join(out)


def documents(data, seed=7):
    """Bytes; those that are no UTF-8 stand for what a reader of damaged files gives."""
    source = random.Random(seed)
    marks = [chr(p) for p in range(0x20000) if unicodedata.combining(chr(p))]
    texts = [novels(data, 3_000_000, source), code(1_500_000), scripts(400_000, source), marked(150_000, source, marks),
             mixture(700_000, source), every_code_point(source)]
    found = [part.encode() for text in texts for part in pieces_of(text, source)]
    for _ in range(200):
        kind = source.random()
        length = source.randint(1, 6000)
        found.append(source.randbytes(length) if kind < 0.6 else bytes(source.choices(range(0x80), k=length)) if kind < 0.8
                     else bytes(source.choices([0x20, 0xE2, 0x96, 0x81, 0xF0, 0x9F, 0x41], k=length)))
    found += [b"", b" ", b"a", b"a" * 1_000_000, b" " * 100_000, "é".encode() * 50_000]
    return found
