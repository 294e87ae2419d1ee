import pytest

from microsam_nb.session import LayerName, SetContours, SetLayer, ShowAsModel
from microsam_nb.view import Command
from microsam_nb.widgets import LayersPanel
from microsam_nb.widgets.panels import EVERYTHING


@pytest.fixture
def panel(desk):
    one = desk((3, 96, 96))
    made = one.panel = LayersPanel(one.session, one.hands)
    made.desk = one
    made.show(EVERYTHING)
    return made


@pytest.mark.parametrize("name", list(LayerName))
def test_check_boxes_and_sliders_set_and_show_every_layer(panel, name):
    session = panel.desk.session

    def layer():
        return getattr(session.state.browsing.layers, name.value)

    assert panel.checks[name].value is True
    assert panel.sliders[name].value == layer().opacity
    panel.checks[name].value = False
    assert not layer().visible
    panel.sliders[name].value = 0.25
    assert layer().opacity == 0.25
    sent = len(panel.desk.done)
    session.handle(SetLayer(name, visible=True, opacity=0.8))
    assert panel.checks[name].value is True
    assert panel.sliders[name].value == 0.8
    assert len(panel.desk.done) == sent, "what the session says is not sent back"


def test_one_plane_has_no_neighbours(desk):
    one = desk()
    one.panel = LayersPanel(one.session, one.hands)
    assert set(one.panel.checks) == set(LayerName) - {LayerName.NEIGHBOURS}


def test_buttons(panel):
    commands = (Command.CONTOURS, Command.FAINTER, Command.STRONGER, Command.AS_MODEL)
    for command in commands:
        panel.buttons[command].click()
    assert panel.desk.done == list(commands)
    panel.desk.session.handle(SetContours(True))
    panel.desk.session.handle(ShowAsModel(True))
    assert panel.buttons[Command.CONTOURS].button_style
    assert panel.buttons[Command.AS_MODEL].button_style
