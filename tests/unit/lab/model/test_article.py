"""The article's mechanism says what the article says, and where that differs from the map of Go."""

from __future__ import annotations

from mapscope.lab.model.article import SECTION_1A, SECTION_2_5, ArticleMap
from mapscope.lab.model.classic import ClassicMap
from mapscope.lab.model.interface import MapModel
from mapscope.lab.model.making import make


def inserted(model: MapModel, count: int) -> MapModel:
    for key in range(count):
        model.assign(key, key)
    return model


def growths(model: MapModel, writes: int, keys: int) -> list[int]:
    """The writes (from 1) that begin a growth when so many writes go to so many keys."""
    model.log = []
    found = []
    for number in range(writes):
        model.assign(number % keys, number)
        if any(event.name == "hashGrow" for event in model.log):
            found.append(number + 1)
        model.log.clear()
    return found


def test_the_experiment_of_2_5():
    article = inserted(ArticleMap(settings=SECTION_2_5, hint=1024), 2049)
    assert article.bytes().oldbuckets == 16 * 1024
    assert article.bytes().buckets == 16 * 2048
    assert inserted(ArticleMap(settings=SECTION_2_5, hint=1024), 2048).bytes().oldbuckets == 0
    go = inserted(make("1.23", hint=1024), 2049)
    assert go.bytes().oldbuckets == 0  # its growth ended at about insert 1840


def test_evacuation_ends_at_2_to_the_b():
    article = inserted(ArticleMap(settings=SECTION_2_5, hint=1024), 2049)
    for _ in range(2047):
        article.delete(-1)
    assert article.state().oldbuckets == (0,)
    article.delete(-1)
    assert article.state().oldbuckets == ()
    assert article.state().nevacuate == 1 << article.state().B


def test_a_live_iterator_blocks_evacuation_there_and_not_in_go():
    article, go = ArticleMap(settings=SECTION_1A), make("1.23")
    for model in (article, go):
        inserted(model, 105)  # 6.5 * 16 + 1
        assert model.bytes().oldbuckets
        cursor = model.iterate()
        for _ in range(40):
            model.delete(-1)
        assert cursor.key is not None
        assert bool(model.bytes().oldbuckets) == (model is article)
    article.stop(cursor := article.iterators[0])
    for _ in range(40):
        article.delete(-1)
    assert article.bytes().oldbuckets == 0
    assert cursor.t0 == article.state().buckets - 1


def test_t0_holds_the_old_array_until_the_iteration_ends():
    article = ArticleMap(settings=SECTION_1A)
    inserted(article, 105)
    cursor = article.iterate()
    assert article.state().held == article.state().oldbuckets != ()
    while article.step(cursor):
        pass
    assert article.state().held == ()
    assert article.live() == []


def test_a_million_writes_of_4_1():
    """100 keys: the article's map grows with the writes and its old arrays pile up; that of Go stands still."""
    article = ArticleMap()
    cursor = None
    assert growths(article, 52, 100)[-1:] == [27]
    cursor = article.iterate()
    assert growths(article, 100_000, 100)
    assert len(article.state().oldbuckets) > 5
    assert cursor.key is not None
    for release, last in (("1.23", 53), ("1.21", 97)):
        go = make(release)
        assert isinstance(go, ClassicMap)
        assert growths(go, 20_000, 100)[-1] == last


def test_it_is_a_map():
    article, truth = ArticleMap(), {}
    for number in range(500):
        key = number * 7 % 60
        if number % 3:
            article.assign(key, number)
            truth[key] = number
        else:
            article.delete(key)
            truth.pop(key, None)
    assert len(article) == len(truth)
    assert all(article.lookup(key) == (truth.get(key), key in truth) for key in range(61))
    cursor, found = article.iterate(), {}
    found[cursor.key] = cursor.elem
    while article.step(cursor):
        found[cursor.key] = cursor.elem
    assert found == truth
    article.clear()
    assert len(article) == 0
