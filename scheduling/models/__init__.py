"""What scheduling stores: schedules, their runs, and the scheduler processes."""

from scheduling.models.backfill import Backfill, BackfillOrder, BackfillWhich
from scheduling.models.choices import CatchUp, Cause, ConcurrencyPolicy, ExecutorAlias, RunStatus
from scheduling.models.follow_up import FollowOn, FollowUp
from scheduling.models.installation import Hold, Installation
from scheduling.models.instance import InstanceState, Leadership, SchedulerInstance
from scheduling.models.run import Run
from scheduling.models.run_log import RunLog
from scheduling.models.schedule import Schedule, ScheduleChange
from scheduling.models.state import Pause, ScheduleState
from scheduling.models.tag import Tag
from scheduling.triggers import TriggerKind

__all__ = [
    "Backfill",
    "BackfillOrder",
    "BackfillWhich",
    "CatchUp",
    "Cause",
    "ConcurrencyPolicy",
    "ExecutorAlias",
    "FollowOn",
    "FollowUp",
    "Hold",
    "Installation",
    "InstanceState",
    "Leadership",
    "Pause",
    "Run",
    "RunLog",
    "RunStatus",
    "Schedule",
    "ScheduleChange",
    "ScheduleState",
    "SchedulerInstance",
    "Tag",
    "TriggerKind",
]
