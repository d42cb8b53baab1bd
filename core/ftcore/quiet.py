"""Silences what the libraries print about themselves: ftcore tells what a person needs to know."""

from __future__ import annotations

import logging
import warnings


def quieten() -> None:
    """Turns off progress bars, advice and renaming notices of transformers and TRL.

    Called once, before the first model is loaded; their errors are raised, not printed, and stay.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    logging.getLogger("trl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="torch.utils.data.dataloader")
    # names of arguments that newer versions of transformers renamed; the older ones know no other
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
