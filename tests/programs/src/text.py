"""Text that compresses about as prose does, always the same. usage: text.py FILE MEGABYTES"""
import random
import sys

source = random.Random(1)
words = ["".join(source.choice("etaoinshrdlu") for _ in range(source.randint(2, 9))) for _ in range(5000)]
size = int(sys.argv[2]) << 20
written = 0
with open(sys.argv[1], "w") as out:
    while written < size:
        line = " ".join(source.choices(words, k=200)) + "\n"
        out.write(line * 4)
        written += 4 * len(line)
