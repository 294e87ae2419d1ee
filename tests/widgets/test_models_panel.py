import pytest

from microsam_nb.session import Failed, ModelLoaded, UseModel
from microsam_nb.widgets import ModelChoice, ModelsPanel
from microsam_nb.widgets.panels import EVERYTHING

CHOICES = [
    ModelChoice("nano", "nano", "small", 18, True),
    ModelChoice("vit_b_lm", "vit_b_lm (v4)", "light <microscopy>", 416, False),
]


@pytest.fixture
def panel(desk):
    one = desk()
    choices = list(CHOICES)
    made = one.panel = ModelsPanel(lambda: list(choices), one.session, one.hands)
    made.desk, made.choices = one, choices
    made.show(EVERYTHING)
    return made


def test_it_lists_what_there_is_and_what_it_costs(panel):
    assert [value for _, value in panel.list.options] == ["nano", "vit_b_lm"]
    assert "✓" in panel.list.options[0][0]
    assert "416 MB" in panel.list.options[1][0]
    panel.list.value = "vit_b_lm"
    assert "Light &lt;microscopy&gt;" in panel.about.value
    assert "416 MB are downloaded once" in panel.about.value
    panel.list.value = "nano"
    assert "ready to use" in panel.about.value


def test_a_model_is_chosen_with_the_button_only(panel):
    panel.list.value = "vit_b_lm"
    assert panel.desk.done == []
    panel.use.click()
    assert panel.desk.done == [UseModel("vit_b_lm")]
    assert panel.use.disabled, "one at a time"
    panel.desk.session.handle(Failed("It cannot be downloaded. Check the network."))
    assert not panel.use.disabled


def test_it_shows_which_model_answers_and_that_it_is_in_the_cache_now(panel):
    assert "being loaded" in panel.now.value
    panel.list.value = "vit_b_lm"
    panel.choices[1] = ModelChoice("vit_b_lm", "vit_b_lm (v4)", "light microscopy", 416, True)
    panel.desk.session.handle(ModelLoaded("vit_b_lm (v4)", "cuda"))
    assert "vit_b_lm (v4)" in panel.now.value
    assert "cuda" in panel.now.value
    assert "✓" in panel.list.options[1][0]
    assert panel.list.value == "vit_b_lm"


def test_a_checkpoint_file(panel):
    panel.open.click()
    assert "Enter the path" in panel.desk.session.notice.text
    panel.file.value = " mine.pt "
    panel.open.click()
    assert panel.desk.done == [UseModel("mine.pt")]
