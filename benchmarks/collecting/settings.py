"""Settings of the collecting benchmark: the production settings without the politeness that waits."""

from newss_project.settings import *  # noqa: F403

#: Requests are to follow one another at once: what is measured is the program, not its waits.
NEWSS_HOST_DELAY_SECONDS = 0.0
NEWSS_UNCONDITIONAL_SHARE = 0.0
