"""What can be wrong with an image in a file."""


class ImageArchiveError(ValueError):
    """An archive that no container could be made of; `problem` says what is wrong, `fix` what to do about it."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}; {fix}")
