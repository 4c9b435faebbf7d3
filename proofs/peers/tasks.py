"""Task files for llama-perplexity, drawn from a text, and the comparison of what it chose with what Bitsmith chose.

  tasks.py make TEXT FOLDER SEED COUNT     writes COUNT items of each kind
  tasks.py relabel FOLDER                  writes the files again (same.*) with the choices in ours.json, Bitsmith's report, as the right ones
  tasks.py itself FOLDER                   compares NAME.log with fused.NAME.log, the same run of llama-perplexity with fused attention
  tasks.py compare FOLDER [choices]        reads llama-perplexity's output: NAME.log of the files, same.NAME.log of those with other labels; with the word, scores may differ

llama-perplexity prints the choice for WinoGrande alone; for the others it prints the share of right choices after each item. Where Bitsmith's choices are the right ones, an item that llama-perplexity
finds wrong is one where it chose otherwise.
"""
import json, pathlib, random, re, struct, sys

HELLASWAG_ENDINGS = 4
MULTIPLE_CHOICE = {"arc-easy": (3, 5), "arc-challenge": (4, 4), "mmlu": (4, 4), "truthfulqa": (2, 13)}
ARC = ("arc-easy", "arc-challenge")


def sentences(text):
    parts = [re.sub(r"\s+", " ", part).strip() for part in re.split(r"(?<=[.;:?!])\s", text)]
    return [part for part in parts if 8 <= len(part.split()) <= 45 and "_" not in part and '"' not in part]


def string(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def answers(texts, labels):
    return struct.pack("<I", len(texts)) + b"".join(map(string, texts)) + struct.pack(f"<{len(labels)}i", *labels)


def binary(path, items):
    blobs = [string(question) + answers(texts, labels) + answers([], []) for question, texts, labels in items]
    place, places = 4 + 4 * len(blobs), []
    for blob in blobs:
        places.append(place)
        place += len(blob)
    path.write_bytes(struct.pack("<I", len(blobs)) + struct.pack(f"<{len(places)}I", *places) + b"".join(blobs))


def cut(sentence, draw):
    words = sentence.split()
    place = draw.randint(3, len(words) - 3)
    return " ".join(words[:place]), " ".join(words[place:])


def among_wrong(right, count, place, make):
    """The right choice at its place among wrong ones; no two alike, whose scores would be the same and which of them is chosen chance."""
    texts = [right]
    while len(texts) < count:
        wrong = make()
        if wrong not in texts:
            texts.append(wrong)
    return texts[1:place + 1] + [right] + texts[place + 1:]


def labelled(items):
    return [(question, texts, [int(choice == right) for choice in range(len(texts))]) for question, texts, right in items]


def hellaswag(path, items):
    path.write_text("".join(f"{line}\n" for context, right, endings in items for line in [context, str(right), *endings]), encoding="utf-8")


def make(text, folder, seed, count):
    draw = random.Random(seed)
    pool = sentences(pathlib.Path(text).read_text(encoding="utf-8"))
    folder = pathlib.Path(folder)

    # How a sentence goes on: its own end, or the ends of others.
    items = []
    for _ in range(count):
        begin, end = cut(draw.choice(pool), draw)
        gold = draw.randrange(HELLASWAG_ENDINGS)
        endings = among_wrong(end, HELLASWAG_ENDINGS, gold, lambda: cut(draw.choice(pool), draw)[1])
        items.append((f"{draw.choice(['Scripture', 'A chapter', 'Reading aloud'])}: {begin}", gold, endings))
    hellaswag(folder / "hellaswag.txt", items)
    kept = {"hellaswag": items}

    # The same as questions, with as many choices as each set has; some of the wrong ones differ from the right one in its last words alone.
    for name, (least, most) in MULTIPLE_CHOICE.items():
        items = []
        for _ in range(count):
            context = " ".join(draw.choice(pool) for _ in range(draw.randint(1, 4 if name == "mmlu" else 1)))
            begin, end = cut(draw.choice(pool), draw)
            choices = draw.randint(least, most)
            gold = draw.randrange(choices)
            words = end.split()
            texts = among_wrong(end, choices, gold, lambda: " ".join(words[:-1] + [draw.choice(pool).split()[-1]]) if len(words) > 2 and draw.random() < 0.3 else cut(draw.choice(pool), draw)[1])
            items.append((f"Question: {context} How does it go on: {begin} Answer:", texts, gold))
        kept[name] = items
        binary(folder / f"{name}.bin", labelled(items))

    # llama-perplexity takes one file: Easy and Challenge behind each other.
    kept["arc"] = [item for part in ARC for item in kept[part]]
    binary(folder / "arc.bin", labelled(kept["arc"]))
    (folder / "items.json").write_text(json.dumps(kept))

    # A word taken out of a sentence, against one of another: some near the end, so that little follows, some between quotes.
    rows = []
    while len(rows) < count:
        words, others = draw.choice(pool).split(), draw.choice(pool).split()
        place = draw.randint(1, len(words) - 1) if draw.random() < 0.8 else len(words) - draw.randint(1, 2)
        taken, other = words[place].strip(",.;:?!"), draw.choice(others).strip(",.;:?!")
        if taken == other or "," in taken + other or len(taken) < 2 or len(other) < 2:
            continue
        answer = draw.randint(1, 2)
        sentence = " ".join(words[:place] + [words[place].replace(taken, "_", 1)] + words[place + 1:])
        sentence = f'"{sentence}"' if "," in sentence or draw.random() < 0.2 else sentence
        first, second = (taken, other) if answer == 1 else (other, taken)
        rows.append(f"{len(rows)},{sentence},{first},{second},{answer}")
    (folder / "winogrande.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def relabel(folder):
    folder = pathlib.Path(folder)
    kept = json.loads((folder / "items.json").read_text())
    for task in json.loads((folder / "ours.json").read_text())["tasks"]:
        name = task["task"]
        if name == "winogrande":
            continue
        items = kept[name]
        for found in task["items"]:
            number = int(found["place"]["where"].split()[1])
            index = (number - 1) // 6 if name == "hellaswag" else number - 1
            if pathlib.Path(found["place"]["file"]).stem == ARC[1]:
                index += len(kept[ARC[0]])
            # (context, right, endings) of HellaSwag, (question, answers, right) of the others
            items[index][1 if name == "hellaswag" else 2] = found["choice"]
        if name == "hellaswag":
            hellaswag(folder / "same.hellaswag.txt", items)
        else:
            binary(folder / f"same.{name}.bin", labelled(items))


def running(log):
    """Whether each item was right, from the running share in percent."""
    rates = [float(rate) for rate in re.findall(r"^\d+\t(\d+\.\d{8})%?(?:\t\[.*)?$", log, re.M)]
    counts = [round(rate * (i + 1) / 100) for i, rate in enumerate(rates)]
    return [now - before for before, now in zip([0] + counts, counts)]


def itself(folder):
    folder = pathlib.Path(folder)
    items = changed = scores = 0
    for log in sorted(folder.glob("fused.*.log")):
        before, after = running((folder / log.name.removeprefix("fused.")).read_text()), running(log.read_text())
        assert len(before) == len(after) > 0, log
        items, changed, scores = items + len(after), changed + sum(a != b for a, b in zip(before, after)), scores + (sum(before) != sum(after))
    print(f"llama-perplexity with and without fused attention, which only rounds otherwise: {changed} of its own {items} items turn from right to wrong or back, {scores} scores change")


def compare(folder, scores=True):
    folder = pathlib.Path(folder)
    tasks = json.loads((folder / "ours.json").read_text())["tasks"]
    missed = compared = others = 0
    print("| task | items | chosen otherwise | chosen alike | llama-perplexity prints | Bitsmith prints |")
    print("|---|---:|---:|---:|---|---|")
    for task in tasks:
        name, score = task["task"], task["score"]
        log = (folder / f"{name}.log").read_text()
        ours = [item["choice"] for item in task["items"]]
        mine = f"{score['percent']:.4f} +/- {score['error']:.4f}"
        if name == "winogrande":
            theirs = [int(choice) - 1 for choice in re.findall(r"^\d+\t[\d.]+\s+\S+\s+\S+\s+([12])\s+[12]$", log, re.M)]
            same = [a == b for a, b in zip(ours, theirs)]
            printed = re.findall(r"Final Winogrande score\(\d+ tasks\): ([\d.]+ \+/- [\d.]+)", log)
        else:
            same = running((folder / f"same.{name}.log").read_text())
            printed = re.findall(r"Final result: ([\d.]+ \+/- [\d.]+)", log)
        if name == "hellaswag":
            printed = re.findall(r"^\d+\t([\d.]+%\t\[[\d.]+%, [\d.]+%\])$", log, re.M)
            mine = f"{score['percent']:.8f}%\t[{score['interval']['low']:.4f}%, {score['interval']['high']:.4f}%]"
        other = len(ours) - sum(same)
        share = 100 * sum(same) / len(ours)
        last = printed[-1] if printed else "nothing"
        # llama-perplexity rounds shares to binary32 before it prints them, which may turn the last digit.
        numbers = lambda text: [float(number) for number in re.findall(r"\d+\.\d+", text)]
        equal = len(numbers(last)) == len(numbers(mine)) and all(abs(a - b) < 1.5e-4 for a, b in zip(numbers(last), numbers(mine)))
        missed += len(same) != len(ours) or share < 99.5 or (scores and not equal)
        compared, others = compared + len(ours), others + other
        flat = lambda text: text.replace("\t", " ")
        print(f"| {name} | {len(ours)} of {task['available']} | {other} | {share:.2f} % | {flat(last)} | {flat(mine)} |")
    print(f"tasks {len(tasks)} missed {missed} items {compared} otherwise {others}")


if __name__ == "__main__":
    verb, rest = sys.argv[1], sys.argv[2:]
    {"make": lambda: make(rest[0], rest[1], int(rest[2]), int(rest[3])), "relabel": lambda: relabel(rest[0]), "itself": lambda: itself(rest[0]), "compare": lambda: compare(rest[0], "choices" not in rest[1:])}[verb]()
