"""A ``twisted.plugin`` package: each module in it may offer factories; ``builtin`` lists those that come along."""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
