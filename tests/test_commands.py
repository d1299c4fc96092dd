"""What the command line says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.python import usage

from netrunner import __version__
from netrunner.cli.main import NetrunnerOptions, main
from netrunner.cli.projects import ListProjects, ListTokens


def below(options: usage.Options, *words: str) -> Iterator[tuple[tuple[str, ...], usage.Options]]:
    """Yield the options of each command, as a command line gets to them, with the words that it takes."""
    for word, _, parser, _ in getattr(options, "subCommands", ()):
        command = parser()
        command.parent, options.subCommand = options, word
        yield (*words, word), command
        yield from below(command, *words, word)


def test_every_command_says_once_how_it_is_used_from_the_programs_name_on() -> None:
    for words, command in below(NetrunnerOptions()):
        told = command.getSynopsis()
        assert (told.count("Usage:"), told.split()[:3]) == (1, ["Usage:", "netrunner", words[0]])
        assert set(words) <= set(told.split())


@pytest.mark.parametrize(
    ("line", "used"),
    [
        (
            ["token", "--json", "create"],
            "netrunner token [--config FILE | --url URL] [--json] create [options] PROJECT",
        ),
        (["project", "show", ""], "netrunner project [--config FILE | --url URL] [--json] show [options] ID"),
        (["secrets"], "netrunner secrets [--config FILE] [--json] seal | rotate | status"),
        (["logserver", "--bad"], "netrunner logserver [options]"),
        (["nothing"], "netrunner COMMAND [ARGUMENTS]"),
    ],
)
def test_a_wrong_command_line_is_answered_by_how_that_command_is_used(
    line: list[str], used: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2
    assert f"\nUsage: {used}\n" in capsys.readouterr().err


class Pages:
    """Tells of so many rows, newest first, page by page."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.asked: list[str | None] = []

    def change(self, action: str, operation: Any, *args: Any) -> Any:
        """Change nothing."""

    def look(self, operation: Any, *args: Any) -> Any:
        """Return a page."""
        limit, before = args[:2]
        self.asked.append(before)
        first = self.rows if before is None else int(before)
        return [{"id": str(number)} for number in range(first - 1, max(first - 1 - limit, -1), -1)]


@pytest.mark.parametrize("command", [ListProjects, ListTokens])
def test_a_list_goes_on_to_the_last_page(command: type[ListProjects | ListTokens]) -> None:
    way = Pages(2500)
    assert [row["id"] for row in command().run(way)] == [str(number) for number in range(2499, -1, -1)]
    assert way.asked == [None, "1500", "500"]


def test_every_command_tells_netrunners_version(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["--version"], ["token", "--version"], ["bench", "compare", "--version"]):
        with pytest.raises(SystemExit) as ended:
            main(line)
        assert (ended.value.code, capsys.readouterr().out) == (0, f"netrunner {__version__}\n")
