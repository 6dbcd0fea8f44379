"""What scheduling stores: schedules, their runs, and the scheduler processes."""

from scheduling.models.instance import InstanceState, Leadership, SchedulerInstance
from scheduling.models.run import Cause, Run, RunLog, RunStatus
from scheduling.models.schedule import ExecutorAlias, Schedule, ScheduleChange, TriggerKind
from scheduling.models.tag import Tag

__all__ = [
    "Cause",
    "ExecutorAlias",
    "InstanceState",
    "Leadership",
    "Run",
    "RunLog",
    "RunStatus",
    "Schedule",
    "ScheduleChange",
    "SchedulerInstance",
    "Tag",
    "TriggerKind",
]
