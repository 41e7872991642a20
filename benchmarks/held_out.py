"""Judge an artifact by the sources that a training held out; print figures as in that training's `training.json`.

The rows are those of `python -m training DATA_DIR --hold-out SOURCE...`. An artifact that was trained on them does
better than it would on text of a new origin.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pointsman.classify import artifact
from pointsman.evaluation.reader import Reader
from training.corpus import load_corpus
from training.figures import figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", help="artifact folder, or `builtin`")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--hold-out", metavar="SOURCE", nargs="+", default=[])
    args = parser.parse_args()
    rows = load_corpus(args.data_dir, args.hold_out).valid
    reader = Reader(artifact.load(artifact.resolve(args.artifact, Path())))
    reading = reader.read([row.text for row in rows])
    print(json.dumps(figures(rows, reading.probabilities), indent=1))


if __name__ == "__main__":
    main()
