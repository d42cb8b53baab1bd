"""The shapes that records come in: each is found out, and read as a sample of its mode.

From a record to a sample: ``table`` takes the columns that the user named, ``formats`` lays a
record out as messages, ``turns`` and ``parts`` read each of them, ``calls`` and ``tools`` what
concerns tools, ``chats`` makes one chat of all, and the mode makes its sample of the chat
(:func:`ftcore.hookspecs.ftcore_import_chat`). ``keys`` and ``checks`` refuse what would be lost.
All keep the places of what they read (:mod:`ftcore.origins`), so that every problem points into
the record as its author wrote it.
"""

from ftcore.shapes.importing import (
    SHAPES,
    Imported,
    Importing,
    check_importing,
    import_record,
    mode_of,
)

__all__ = ["SHAPES", "Imported", "Importing", "check_importing", "import_record", "mode_of"]
