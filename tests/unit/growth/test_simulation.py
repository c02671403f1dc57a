"""Simulated fleets: they come to rest, no shard goes to and fro, limits hold, and the figures are those of the run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from mapscope.cli.main import main
from mapscope.growth.fleet import PlannedMove
from mapscope.growth.settings import DEFAULT
from mapscope.growth.simulation import ROUND, Simulation
from mapscope.growth.synthetic import Living
from mapscope.report.growth_chart import chart
from mapscope.report.schema import json_schema
from tests.unit.report.schema_check import problems

BARE = replace(DEFAULT, observations=1, load_leave=0.85, free_leave=0.15, skew_leave=1.8, cool_down=0.0)


@pytest.mark.parametrize("seed", range(6))
def test_a_noisy_fleet_comes_to_rest_and_nothing_flaps(seed: int):
    outcome = Simulation(30, 900, seed, noise=0.15, mean_load=0.7).run(48)
    assert outcome.beyond_at_start
    assert outcome.balanced_hours is not None
    assert outcome.balanced_hours < 12
    assert not outcome.beyond_at_end
    assert outcome.moves > 0
    assert outcome.flaps == 0
    assert outcome.returns <= 0.05 * outcome.moves
    assert outcome.fullest <= 1 - DEFAULT.free_enter + 0.01
    late = [one.moving for one in outcome.rounds[-len(outcome.rounds) // 4 :]]
    assert np.mean(np.array(late) > 0) < 0.2, "the last quarter is mostly quiet"
    assert outcome.bytes_moved <= 1.5 * outcome.lower_bound_bytes


def test_hysteresis_is_what_saves_moves_under_noise():
    with_, without = (
        Simulation(20, 500, 1, noise=0.2, settings=settings, mean_load=0.62).run(48) for settings in (DEFAULT, BARE)
    )
    assert with_.moves * 3 < without.moves


def test_a_fleet_at_rest_stays_at_rest_under_noise():
    """Nothing is beyond a threshold, and noise of a tenth would pass one hundreds of times."""
    given = Simulation(20, 2000, 3, noise=0.1, mean_load=0.62)
    living = given._living
    living.growth[:] = 0
    order = np.argsort(-living.work_at_start)
    living.power[:] = 1
    living.capacity[:] = living.capacity.mean()
    living.work_at_start[:] = living.work_at_start.mean()
    living.size_at_start[:] = living.size_at_start.mean()
    living.holder[order] = np.arange(2000) % 20
    assert given.run(48).moves == 0


def test_flaps_and_returns_are_counted():
    """By hand: shard 0 goes from node 0 to 1, back within the cool-down, and there again much later."""
    given = Simulation(3, 3, noise=0.0)
    given._living.holder[:] = 0
    for at, source, target in ((600.0, 0, 1), (1200.0, 1, 0), (90_000.0, 0, 1)):
        given._running = [(at, 0, source, target, 0.0)]
        given._finish(at)
    assert (given.outcome.flaps, given.outcome.returns, given.outcome.again) == (1, 2, 2)
    assert given._living.holder.tolist() == [1, 0, 0]


def test_a_move_takes_its_time_and_the_target_holds_the_copy_meanwhile():
    given = Simulation(3, 3, noise=0.0)
    living = given._living
    living.holder[:] = [0, 1, 2]
    living.size_at_start[:] = 60e9
    living.growth[:] = 0
    living.capacity[:] = 1e12
    quiet = np.ones((2, 3))
    measured, _, _ = living.measured(0.0, given._copies, DEFAULT, quiet)
    given._queue.append(PlannedMove(0, "node-0", "node-1", 60_000_000_000, 0.1, 1.0, 0.5, ""))
    given._queue.append(PlannedMove(1, "node-1", "node-2", 60_000_000_000, 0.1, 1.0, 0.5, ""))
    given._begin(0.0, measured)
    assert [one[1] for one in given._running] == [0], "a node takes part in one move at a time"
    assert living.used(0.0, given._copies).tolist() == pytest.approx([60e9, 120e9, 60e9])
    given._finish(604.9)
    assert living.holder[0] == 0
    given._finish(605.0)
    assert living.holder[0] == 1
    assert living.used(0.0, given._copies).tolist() == pytest.approx([0, 120e9, 60e9])
    living.capacity[2] = 100e9
    measured, _, _ = living.measured(0.0, given._copies, DEFAULT, quiet)
    given._begin(605.0, measured)
    assert (given.outcome.not_begun, given.outcome.moves) == (1, 1)


def test_the_same_seed_gives_the_same_run():
    first, second, other = (asdict(Simulation(10, 200, seed).run(6)) for seed in (5, 5, 6))
    assert first == second != other
    assert len(first["rounds"]) == 6 * 3600 / ROUND + 1


def test_the_fleet_is_what_its_description_says():
    living = Living.made(40, 2000, np.random.default_rng(1), 0.5)
    assert living.work_at_start.max() <= 0.25
    assert living.work_at_start.sum() == pytest.approx(0.5 * living.power.sum(), rel=0.1)
    assert (living.holder >= 36).mean() < 0.01, "the last tenth is as good as empty"
    assert set(range(36)) <= set(living.holder.tolist())
    fill = living.used(0.0, np.zeros(40)) / living.capacity
    assert fill.max() <= 0.951
    busy = np.sort(living.work_at_start)[::-1]
    assert busy[:200].sum() > 0.3 * busy.sum()


def test_the_command_says_what_the_run_gave(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    given = ["growth", "simulate", "--nodes", "20", "--shards", "400", "--hours", "12", "--load", "0.7"]
    assert main(given) == 0
    text = capfd.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    picture = tmp_path / "run.svg"
    assert main([*given, "-f", "json", "--plot", str(picture)]) == 0
    document = json.loads(capfd.readouterr().out)
    schema = json_schema()
    assert not problems(document, schema["$defs"]["GrowthSimulationDocument"], schema)
    outcome = Simulation(20, 400, 0, 0.05, DEFAULT, 0.7).run(12)
    assert (document["moves"], document["bytes_moved"]) == (outcome.moves, outcome.bytes_moved)
    assert f"{outcome.moves} in {outcome.plans} plans" in text
    assert f"{outcome.balanced_hours:.1f} hours" in text
    assert picture.read_bytes().startswith(b"<?xml")
    assert main([*given, "--plot", str(picture)]) == 2
    assert main([*given, "--plot", str(tmp_path / "run.pdf")]) == 2


def test_a_fleet_that_no_move_can_help_is_status_1(capfd: pytest.CaptureFixture[str]):
    assert main(["growth", "simulate", "--nodes", "10", "--shards", "200", "--hours", "3", "--load", "1"]) == 1
    assert "never" in capfd.readouterr().out


def test_a_chart_shows_the_highest_value_of_each_column():
    lines = list(chart([0.0, 1.0, 0.5, 0.5], level=0.75, low=0.0, high=1.0, width=2, height=2))
    assert lines == ["  0.50 █┄", "  0.00 ██"]
    assert list(chart([2.0, -1.0], level=9.0, low=0.0, high=1.0, width=9, height=1)) == ["  0.00 █"]
    assert list(chart([], 0.5, 0, 1)) == []
