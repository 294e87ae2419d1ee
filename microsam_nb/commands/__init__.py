"""The commands of the command line, one module each: ``add(commands)`` adds it, ``run(options)`` does it.

Everything heavy is imported when a command runs: ``--help`` needs none of it.
"""
