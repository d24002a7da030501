"""What a trained model says of single photos, in words of tables: the columns that all systems share."""

Answer = dict[str, str]  # column -> text, of one photo, "" where there is nothing to say; in the order in which they are shown
OUTCOME = "outcome"  # of the answer: RIGHT or WRONG
RIGHT, WRONG = "right", "wrong"
SURE_AND_WRONG = "confidence where wrong"  # empty where the answer is right, so that the surest errors sort first


def outcome(is_right: bool) -> str:
    """RIGHT or WRONG."""
    return RIGHT if is_right else WRONG
