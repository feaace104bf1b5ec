"""A fixed piece of work, done again and again during a run: how much it takes more or less is how much the machine is to be believed."""
import hashlib
import os
import time

BLOCK = bytes(range(256)) * 4096    # 1 MB
ROUNDS = 192
FILES = 200


def measure(folder):
    """{"cpu": seconds for hashing 192 MB, "disk": seconds for writing and syncing 200 files of 4 KB}"""
    os.sync()
    begin = time.perf_counter()
    digest = hashlib.sha256()
    for _ in range(ROUNDS):
        digest.update(BLOCK)
    middle = time.perf_counter()
    os.makedirs(folder, exist_ok=True)
    for number in range(FILES):
        with open(os.path.join(folder, "%d" % (number % 10)), "wb") as out:
            out.write(BLOCK[:4096])
            out.flush()
            os.fsync(out.fileno())
    return {"cpu": middle - begin, "disk": time.perf_counter() - middle}
