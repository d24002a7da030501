"""Public names that are imported when they are used: `import tfvision` takes no second, and no TensorFlow."""

import importlib
from collections.abc import Callable, Mapping


def public_names(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package that offers names of its modules.

    Args:
      package: its name.
      names: public name -> "module:attribute", the module within the package; "module" alone = the module itself.

    Returns:
      The three, to be assigned in the package's `__init__`.
    """

    def get(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; public are {', '.join(names)}")
        module, _, attribute = names[name].partition(":")
        imported = importlib.import_module(f"{package}.{module}")
        return getattr(imported, attribute) if attribute else imported

    return get, lambda: list(names), list(names)
