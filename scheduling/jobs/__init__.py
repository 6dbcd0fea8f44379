"""The public seam of scheduling: what an app imports to bring a job.

from scheduling.jobs import JobForm, JobResult, RunContext, job

class ReportForm(JobForm):
    days = forms.IntegerField(min_value=1, initial=7)

@job("report", label=_("Weekly report"), form=ReportForm)
def report(context: RunContext, days: int) -> JobResult: ...
"""

from scheduling.jobs.context import LastSuccess, RunCancelled, RunContext
from scheduling.jobs.forms import JobForm
from scheduling.jobs.here import run_here
from scheduling.jobs.keeping import Stopped, remove_rows, removes
from scheduling.jobs.registry import Job, JobError, JobResult, UnknownJob, job, registry

__all__ = [
    "Job",
    "JobError",
    "JobForm",
    "JobResult",
    "LastSuccess",
    "RunCancelled",
    "RunContext",
    "Stopped",
    "UnknownJob",
    "job",
    "registry",
    "remove_rows",
    "removes",
    "run_here",
]
