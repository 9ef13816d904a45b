"""What a load did: which stored tensor went where, how it was changed, and what was left behind."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Translation:
    """One stored tensor and the variable it became (or became a part of)."""

    stored: str
    target: str
    shape: tuple
    how: str

    def __str__(self):
        return f"{self.stored} -> {self.target} {list(self.shape)}: {self.how}"


@dataclass
class Report:
    """Everything a load did with a file.

    Attributes:
        path: The file.
        keras_version: As stored; "unknown" where the file does not say.
        backend: The backend that wrote the file, stored or inferred.
        translated: One entry a stored tensor.
        ignored: What the file holds beyond the model (optimizer state, training configuration), as text.
        notes: Choices a reader should know of: settings dropped, meanings kept, assumptions made.
    """

    path: str
    keras_version: str = "unknown"
    backend: str = "unknown"
    translated: list[Translation] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text):
        """Adds a note once."""
        if text not in self.notes:
            self.notes.append(text)

    def render(self):
        """The report as lines of text."""
        changed = sum(entry.how != "as stored" for entry in self.translated)
        lines = [
            f"{self.path}: Keras {self.keras_version}, backend {self.backend}",
            f"{len(self.translated)} tensors translated, {changed} of them changed in form",
        ]
        lines += [f"  {entry}" for entry in self.translated]
        for title, items in (("ignored", self.ignored), ("notes", self.notes)):
            if items:
                lines += [f"{title}:", *(f"  {item}" for item in items)]
        return "\n".join(lines)

    __str__ = render
