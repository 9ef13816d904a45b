"""Records again, or says what is another now: `python -m tests.golden [--write] [NAME ...]`.

Names are `shipped`, `notebook`, `small_histories` and `demo_histories`; all where none is given. The last takes
minutes.
"""

import argparse
import sys

from tests.golden import comparison
from tests.golden.recordings import RECORDINGS, machine


def main() -> int:
    """Prints the differences; 1 where there are some and they are not written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECORDINGS)}; all where none is given")
    parser.add_argument("--write", action="store_true", help="keep what is found now")
    options = parser.parse_args()
    if unknown := set(options.names) - set(RECORDINGS):
        parser.error(f"no such recording: {', '.join(sorted(unknown))}. There are: {', '.join(RECORDINGS)}.")
    here, differs = machine(), False
    for name in options.names or RECORDINGS:
        recorded, found = comparison.read(name), RECORDINGS[name]()
        exact = recorded["machine"] == here
        print(f"{name}: {len(found)} entries, {'this' if exact else 'another'} machine's recording")
        for key in sorted({*found, *recorded["entries"]}):
            lines = comparison.differences(found.get(key, {}), recorded["entries"].get(key, {}), exact=exact)
            differs |= bool(lines)
            print(f"  {key}: " + ("equal" if not lines else f"{len(lines)} numbers differ"))
            print("".join(f"    {line}\n" for line in lines[:20]), end="")
        if options.write:
            comparison.write(name, here, found)
    return int(differs and not options.write)


if __name__ == "__main__":
    sys.exit(main())
