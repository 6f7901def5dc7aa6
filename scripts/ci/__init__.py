"""What the workflows in .github/workflows do beside installing and signing in; a module each, run by `python -m`.

Values of a pull request reach them as arguments or variables of the environment, never as text in a shell command.
"""
