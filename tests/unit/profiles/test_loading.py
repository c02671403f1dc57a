"""Where a program lay in memory: as the profile says, or as most of its functions would have it; and other programs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from bench import largeprofile
from mapscope.binary.executable import Executable
from mapscope.errors import ExecutableError
from mapscope.profiles.classify import classify
from mapscope.profiles.loading import open_symbols
from mapscope.profiles.protobuf import read_protobuf
from tests.unit.binary.gobuilds import built
from tests.unit.kernels.pprofs import Profile as Message

pytestmark = pytest.mark.toolchain
BIAS = 0x55_5555_0000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Message]:
    """A position independent program and a profile of it, as if it lay where it was linked."""
    program = built("kinds", "1.26", "pie")
    target = tmp_path_factory.mktemp("loading") / "profile"
    samples, places = largeprofile.write(program, target, 300_000)
    message = Message.FromString(target.read_bytes())
    assert (len(message.sample), len(message.location)) == (samples, places)
    return program, message


def moved(message: Message, bias: int) -> Message:
    """The same of a process that has the program ``bias`` bytes higher."""
    found = Message()
    found.CopyFrom(message)
    for one in found.location:
        one.address += bias
    for one in found.mapping:
        one.memory_start += bias
        one.memory_limit += bias
    return found


def opened(program: Path, message: Any) -> int:
    return open_symbols(Executable.open(program), read_protobuf("made", message.SerializeToString())).bias


def test_the_mapping_says_it(made: tuple[Path, Message]):
    program, message = made
    assert opened(program, message) == 0
    other = moved(message, BIAS)
    segment = next(one for one in Executable.open(program).elf.segments if one.flags & 1)
    for one in other.mapping:  # as readMapping has it: where the text's segment begins, and where that is in the file
        one.memory_start = segment.vaddr + BIAS
        one.file_offset = segment.offset
    assert opened(program, other) == BIAS


def test_the_functions_say_it_where_no_mapping_does(made: tuple[Path, Message]):
    program, message = made
    other = moved(message, BIAS)
    del other.mapping[:]
    assert opened(program, other) == BIAS


def test_a_few_functions_may_lie_elsewhere_but_not_many(made: tuple[Path, Message]):
    program, message = made
    names = [one.name for one in message.function]
    other = moved(message, BIAS)
    del other.mapping[:]
    chance = random.Random(4)
    for one in chance.sample(list(other.location), len(other.location) // 200):
        one.address = 0x1000
    assert opened(program, other) == BIAS
    for one in other.function:
        one.name = chance.choice(names)
    with pytest.raises(ExecutableError, match="is not the program that made made"):
        opened(program, other)


def test_a_made_profile_is_as_go_writes_them(made: tuple[Path, Message]):
    """Every location follows a direct call, and every leaf calls a function of the runtime that allocates."""
    program, message = made
    profile = read_protobuf("made", message.SerializeToString())
    executable = Executable.open(program)
    symbols = open_symbols(executable, profile)
    returns = profile.locations[:, 2].view("uint64") + 1
    assert (symbols.targets(returns) >= 0).all()
    names = {
        symbols.callee(int(returns[row]), int(symbols.targets(returns[[row]])[0])) for row in profile.leaves()[:400]
    }
    assert names <= set(largeprofile.LEAVES)
    assert {"runtime.newobject", "runtime.growslice", "runtime.mapassign_faststr"} <= names
    found = classify(profile, symbols)
    assert (found.part_of >= 0).sum() > len(profile) // 20
    assert found.hidden.min() >= 0
