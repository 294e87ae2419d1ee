from dataclasses import FrozenInstanceError, dataclass

import pytest

from microsam_nb.core import MicrosamError, Overlap, Settings, SettingsError, option


@dataclass(frozen=True)
class Oven(Settings):
    heat: float = option(180.0, "Temperature.", low=50.0, high=250.0, unit="C")
    eggs: int = option(2, "Eggs in the dough.", low=0, high=12)
    fan: bool = option(True, "Blow the air around.")
    name: str = option("cake", "What is baked.")
    overlap: Overlap = option(Overlap.KEEP, "What stays.")


def test_the_defaults_are_valid_and_frozen():
    oven = Oven()
    assert (oven.heat, oven.eggs) == (180.0, 2)
    with pytest.raises(FrozenInstanceError):
        oven.eggs = 3


@pytest.mark.parametrize("values", [{"heat": 50}, {"heat": 250.0}, {"eggs": 0}, {"eggs": 12}, {"fan": False}])
def test_bounds_belong_to_the_range(values):
    oven = Oven(**values)
    assert all(getattr(oven, k) == v for k, v in values.items())


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({"heat": 49.9}, "Choose a value from 50.0 to 250.0."),
        ({"heat": 251}, "Choose a value from 50.0 to 250.0."),
        ({"heat": float("nan")}, "Choose a value from 50.0 to 250.0."),
        ({"heat": float("inf")}, "Choose a value from 50.0 to 250.0."),
        ({"eggs": -1}, "Choose a value from 0 to 12."),
        ({"eggs": 2.0}, "Give a number, for example 2."),
        ({"eggs": True}, "Give a number, for example 2."),
        ({"heat": "hot"}, "Give a number, for example 180.0."),
        ({"fan": 1}, "The default is True."),
        ({"name": 5}, "The default is 'cake'."),
        ({"overlap": "keep existing"}, "Use one of: keep existing, replace, whole object."),
    ],
)
def test_a_wrong_value_names_the_right_ones(values, remedy):
    with pytest.raises(SettingsError) as error:
        Oven(**values)
    assert error.value.remedy == remedy
    assert next(iter(values)) in error.value.what


def test_forms_are_made_from_the_description():
    heat, eggs, *_ = Oven.describe()
    assert (heat.name, heat.kind, heat.low, heat.high, heat.unit) == ("heat", float, 50.0, 250.0, "C")
    assert (eggs.default, eggs.help, eggs.unit) == (2, "Eggs in the dough.", "")


def test_an_error_is_what_happened_and_the_remedy():
    error = MicrosamError("It rains.", "Take a coat.")
    assert str(error) == "It rains. Take a coat."
    assert (error.what, error.remedy) == ("It rains.", "Take a coat.")


def test_settings_are_read_from_text():
    assert Oven.parse(["heat=200.5", "eggs=3"]) == Oven(heat=200.5, eggs=3)
    assert Oven.parse(["fan=no", "name=bread", "overlap=replace"]) == Oven(
        fan=False, name="bread", overlap=Overlap.REPLACE
    )
    assert Oven.parse(["fan=TRUE"]).fan
    assert Oven(eggs=3).with_text(["heat=100"]) == Oven(eggs=3, heat=100.0)
    assert Oven.parse([]) == Oven()


@pytest.mark.parametrize(
    ("pair", "remedy"),
    [
        ("egg=3", "Did you mean eggs? Use one of: heat, eggs, fan, name, overlap."),
        ("salt=3", "Use one of: heat, eggs, fan, name, overlap."),
        ("fan=maybe", "Write it as fan=yes or fan=no."),
        ("overlap=some", "Use one of: keep existing, replace, whole object."),
        ("eggs=many", "Write it as eggs=2."),
        ("eggs", "Write it as eggs=2."),
        ("eggs=99", "Choose a value from 0 to 12."),
    ],
)
def test_bad_text_is_refused(pair, remedy):
    with pytest.raises(SettingsError) as error:
        Oven.parse([pair])
    assert error.value.remedy == remedy
