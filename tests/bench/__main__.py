"""`python -m tests.bench NAME [options]`, or `all`: what `make bench BENCH=NAME` runs."""

import importlib
import pkgutil
import sys

import tests.bench

NOT_BENCHES = ("__main__", "rounds", "unseen_groups")  # the last one is a study of an hour, run by its own name


def names() -> list[str]:
    return sorted(
        module.name for module in pkgutil.iter_modules(tests.bench.__path__) if module.name not in NOT_BENCHES
    )


def main() -> None:
    name, *rest = sys.argv[1:] or ["all"]
    if name != "all" and name not in (*names(), "unseen_groups"):
        sys.exit(f"error: unknown benchmark {name!r}. Valid: all, {', '.join(names())}, unseen_groups.")
    for chosen in names() if name == "all" else [name]:
        print(f"== {chosen}", flush=True)
        sys.argv = [f"tests.bench.{chosen}", *rest]
        importlib.import_module(f"tests.bench.{chosen}").main()


if __name__ == "__main__":
    main()
