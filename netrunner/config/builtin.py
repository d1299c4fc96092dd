"""The configuration of a daemon that was given none: the provider `echo` on loopback.

This module must hold text only.
"""

NAME = "built-in configuration"

TEXT = """\
listen: tcp:8080:interface=127.0.0.1
providers:
  echo: {type: echo}
models:
  - {name: echo, images: true, targets: [{provider: echo, model: echo}]}
default_provider: echo
sinks: [{type: console}]
"""
