"""The parts of linking: settings, the objects of a movie, assignment; ``engine.link`` is the door."""
