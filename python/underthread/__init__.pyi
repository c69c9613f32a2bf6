from underthread import _core as _core

__version__: str
__all__ = ["install", "is_active"]

def install() -> None: ...
def is_active() -> bool: ...
