"""A ``twisted.plugin`` package: each module in it offers factories, the built-in ones in ``builtin``."""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
