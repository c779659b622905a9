"""What all errors have in common whose text is meant for the person at the screen. Nothing heavy is imported here."""


class ForPeopleError(Exception):
    """Something that people can put right, in words for them. Anything else is a defect and keeps its traceback."""
