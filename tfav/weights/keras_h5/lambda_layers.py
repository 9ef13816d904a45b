"""Layers that carry Python code in the file: it is never run, and only the caller's own function replaces it."""

from tfav.weights.errors import WeightsError


def carries_code(spec) -> bool:
    """Whether a layer is a Lambda, or the Merge of Keras 1, which may hold a function."""
    return spec.class_name in ("Lambda", "Merge")


def function_name(spec) -> str | None:
    """The name a Lambda stored for its function; stored code has none that can be trusted."""
    if "lambda" in (spec.config.get("function_type"), spec.config.get("mode_type")):
        return None
    function = spec.config.get("function", spec.config.get("mode"))
    if isinstance(function, dict):
        function = function.get("config")
    return function if isinstance(function, str) and len(function) < 80 else None


def refuse(path, specs) -> None:
    """Refuses a file whose layers carry code that nothing replaces.

    Raises:
        WeightsError: There are such layers; names them.
    """
    names = [(spec.name, function_name(spec)) for spec in specs]
    told = [f"{layer!r}" + (f" (function {name!r})" if name else " (stored code)") for layer, name in names]
    if told:
        raise WeightsError(
            path,
            f"it carries Python code in layers {', '.join(told)}, and code from a file is never run",
            "Pass custom_objects={layer or function name: your own function} to replace it.",
        )
