from pathlib import Path

from cohost.provider.main import main

main(project=Path(__file__).absolute().parent.parent)
