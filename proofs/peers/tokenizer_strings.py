#!/usr/bin/env python3
"""Strings, and what the real tokenizers library makes of them, for a comparison with Bitsmith.Models.Text.Tokenizer.

  tokenizer_strings.py train TOKENIZER OUT [--seed N] [--vocab 60000]    a larger table with the same pre-tokenizer and added tokens
  tokenizer_strings.py write TOKENIZER OUT_DIR [--seed N] [--count N]    strings.bin, ids.bin and decoded.bin
  tokenizer_strings.py time  TOKENIZER DIR                               strings and MB for each second, one thread

Six kinds of strings in equal shares: mixed scripts; digits with white space; contractions; emoji sequences; added tokens inside of text;
any Unicode characters at all. Half of a kind's strings are short, half are a paragraph.

strings.bin: for each string its UTF-8 length (uint32) and the UTF-8. ids.bin: for each string the number of ids (uint32) and the ids
(int32), without tokens that a post-processor adds. decoded.bin: random ids, as in ids.bin, each followed by a string, as in
strings.bin: the ids decoded. All little-endian. benchmarks/Bitsmith.TokenizerCheck reads these, compares and measures:

  dotnet run -c Release --project benchmarks/Bitsmith.TokenizerCheck -- TOKENIZER DIR
"""
import argparse, array, json, os, random, struct, sys, time
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("RAYON_NUM_THREADS", "1")
import tokenizers
from tokenizers import Tokenizer, models, trainers

SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x904, 0x939),
           (0xE01, 0xE3A), (0x10A0, 0x10FF), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F00, 0x1FFF),
           (0x20000, 0x2A6DF), (0x10400, 0x1044F), (0x1E900, 0x1E943)]
MARKS = ["\u0301", "\u0308", "\u093F", "\u0E31", "\u200D", "\u200C", "\u00AD", "\uFE0F"]
SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\r", "\u00A0", "\u3000", "\u2028", "\u2029", "\u0085", "\u000B", "\u000C", "\u1680", "\u200B", "\u180E", "\u202F"]
NUMBERS = [(0x30, 0x39)] * 6 + [(0x660, 0x669), (0x966, 0x96F), (0xFF10, 0xFF19), (0x2160, 0x2188), (0xBC, 0xBE), (0x2460, 0x2473), (0x1D7CE, 0x1D7FF), (0x3021, 0x3029)]
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["。", "、", "—", "…", "«", "»", "€", "№", "’", "“", "\u0000", "\u001b", "\u007f"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'vE", "'M", "'LL", "'lL", "'D", "'\u017F", "'l", "'r", "'v", "''s", "’s", "'st", "'\uFB06", "'rex", "' s"]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇫", "1️⃣", "❤️", "☎", "🧑🏿‍🚀", "\U0001FAE8", "🏴\U000E0067\U000E0062\U000E007F", "©️"]


def words(random, count=4000):
    """A made-up lexicon for each script; the frequencies fall as in real text, so that merges have something to find."""
    lexicon = []
    for _ in range(count):
        low, high = random.choice(SCRIPTS[:14] if random.random() < 0.5 else SCRIPTS[:2])
        low, span = (low, high - low) if high - low < 60 else (low + random.randrange(high - low - 60), 60)
        lexicon.append("".join(chr(low + int(span * random.random() ** 2)) for _ in range(random.randint(1, 9))))
    return lexicon


class Strings:
    def __init__(self, seed, added):
        self.random = random.Random(seed)
        self.lexicon = words(random.Random(seed ^ 0x5EED))
        self.added = added or ["<|user|>"]

    def word(self):
        r = self.random
        if r.random() < 0.6:
            return self.lexicon[int(len(self.lexicon) * r.random() ** 3)]
        low, high = r.choice(SCRIPTS)
        return "".join(chr(r.randint(low, high)) + (r.choice(MARKS) if r.random() < 0.05 else "") for _ in range(r.randint(1, 10)))

    def number(self):
        low, high = self.random.choice(NUMBERS)
        return "".join(chr(self.random.randint(low, high)) for _ in range(self.random.randint(1, 9)))

    def white(self):
        return "".join(self.random.choice(SPACES) for _ in range(self.random.randint(1, 4)))

    def punctuation(self):
        return "".join(self.random.choice(PUNCTUATION) for _ in range(self.random.randint(1, 4)))

    def any(self):
        r = self.random
        while True:
            c = r.randrange(0x110000) if r.random() < 0.3 else r.randrange(0x3000) if r.random() < 0.7 else r.randrange(0x100)
            if not 0xD800 <= c <= 0xDFFF:
                return chr(c)

    def piece(self, kind):
        r = self.random
        x = r.random()
        if x < 0.30:
            return self.word()
        if x < 0.45:
            return " "
        if x < 0.55:
            return self.punctuation()
        if kind == 0:
            return self.word() if x < 0.8 else self.white()
        if kind == 1:
            return self.number() if x < 0.8 else self.white()
        if kind == 2:
            return self.word() + r.choice(CONTRACTIONS) + (self.word() if x < 0.6 else "")
        if kind == 3:
            return r.choice(EMOJI) if x < 0.9 else r.choice(MARKS)
        if kind == 4:
            token = r.choice(self.added)
            return token if x < 0.85 else token[:r.randint(1, len(token))] if x < 0.93 else self.white() + token + self.white()
        return "".join(self.any() for _ in range(r.randint(1, 6)))

    def string(self, number):
        kind = number % 6
        length = self.random.randint(0, 8) if self.random.random() < 0.5 else self.random.randint(9, 60)
        return "".join(self.piece(kind) for _ in range(length))


def added_of(path):
    with open(path, encoding="utf-8") as file:
        return [token["content"] for token in json.load(file)["added_tokens"]]


def train(arguments):
    base = Tokenizer.from_file(arguments.tokenizer)
    with open(arguments.tokenizer, encoding="utf-8") as file:
        description = json.load(file)
    larger = Tokenizer(models.BPE(ignore_merges=True))
    larger.pre_tokenizer, larger.decoder = base.pre_tokenizer, base.decoder
    strings = Strings(arguments.seed, None)
    trainer = trainers.BpeTrainer(vocab_size=arguments.vocab, min_frequency=2, show_progress=False,
                                  initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    larger.train_from_iterator((strings.string(i) for i in range(arguments.lines)), trainer)
    larger.add_tokens([tokenizers.AddedToken(t["content"], single_word=t["single_word"], lstrip=t["lstrip"], rstrip=t["rstrip"],
                                             normalized=t["normalized"], special=t["special"]) for t in description["added_tokens"]])
    larger.save(arguments.out)
    print(f"{larger.get_vocab_size()} tokens -> {arguments.out}")


def write(arguments):
    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    strings = Strings(arguments.seed, added_of(arguments.tokenizer))
    os.makedirs(arguments.out, exist_ok=True)
    size, r = tokenizer.get_vocab_size(), random.Random(arguments.seed ^ 0xDEC0DE)
    with open(os.path.join(arguments.out, "strings.bin"), "wb") as text, open(os.path.join(arguments.out, "ids.bin"), "wb") as ids, \
            open(os.path.join(arguments.out, "decoded.bin"), "wb") as decoded:
        for number in range(arguments.count):
            string = strings.string(number)
            utf8 = string.encode()
            found = tokenizer.encode(string, add_special_tokens=False).ids
            text.write(struct.pack("<I", len(utf8)) + utf8)
            ids.write(struct.pack("<I", len(found)) + array.array("i", found).tobytes())
            if number % 10 == 0:
                # Single bytes of characters above all: what is cut short or stands alone must be replaced alike.
                some = [r.randrange(size) if r.random() < 0.3 else r.randrange(256) for _ in range(r.randint(0, 12))]
                utf8 = tokenizer.decode(some, skip_special_tokens=False).encode()
                decoded.write(struct.pack("<I", len(some)) + array.array("i", some).tobytes() + struct.pack("<I", len(utf8)) + utf8)
    print(f"{arguments.count} strings, seed {arguments.seed}, tokenizers {tokenizers.__version__} -> {arguments.out}")


def measure(arguments):
    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    with open(os.path.join(arguments.out, "strings.bin"), "rb") as file:
        data = file.read()
    strings, at = [], 0
    while at < len(data):
        length, = struct.unpack_from("<I", data, at)
        strings.append(data[at + 4:at + 4 + length].decode())
        at += 4 + length
    size = len(data) - 4 * len(strings)
    best = {}
    for _ in range(arguments.rounds):
        for name, encode in (("one by one", lambda: [tokenizer.encode(s, add_special_tokens=False) for s in strings]),
                             ("in a batch, without offsets", lambda: tokenizer.encode_batch_fast(strings, add_special_tokens=False))):
            start = time.perf_counter()
            encode()
            best[name] = min(best.get(name, 1e9), time.perf_counter() - start)
    for name, seconds in best.items():
        print(f"tokenizers {tokenizers.__version__} {name}: {len(strings) / seconds:.0f} strings/s {size / seconds / 1e6:.2f} MB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["train", "write", "time"])
    parser.add_argument("tokenizer")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100_002)
    parser.add_argument("--vocab", type=int, default=60_000)
    parser.add_argument("--lines", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    {"train": train, "write": write, "time": measure}[arguments.task](arguments)


if __name__ == "__main__":
    sys.exit(main())
