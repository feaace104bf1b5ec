"""What was measured, line by line in a file of JSON, so that a run that is interrupted can go on where it was."""
import json
import os


class Other(Exception):
    """The folder holds results of something else."""


class Record:
    """Lines are dicts with a `kind`: about, cell, absent, run, calibration, memory, growth, fault."""

    def __init__(self, folder, identity):
        """`identity`: what must be the same for results to be shown together: a dict of texts. Raises Other when it is not."""
        self.folder, self.file = folder, os.path.join(folder, "runs.jsonl")
        os.makedirs(folder, exist_ok=True)
        self.lines = _read(self.file)
        for line in self.lines:
            if line["kind"] == "about":
                wrong = [key for key in identity if line["identity"].get(key) != identity[key]]
                if wrong:
                    raise Other("%s holds results of another %s: begin anew with --fresh, or use another --out" % (
                        folder, " and another ".join(wrong)))
        if not self.lines:
            self.add("about", identity=identity)

    def add(self, kind, **values):
        """Kept before it returns."""
        line = dict(values, kind=kind)
        self.lines.append(line)
        with open(self.file, "a") as out:
            out.write(json.dumps(line) + "\n")

    def of(self, kind, **fields):
        return [line for line in self.lines if line["kind"] == kind and all(line.get(k) == v for k, v in fields.items())]


def _read(path):
    """A last line that was cut off does not count, and is taken away so that the next one begins a line."""
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        data = file.read()
    whole = data[:data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with open(path, "r+b") as file:
            file.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines()]
