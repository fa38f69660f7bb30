"""Words that messages have in common."""


def counted(number: int, noun: str) -> str:
    """Say how many there are: `1 frame`, `2 frames`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
