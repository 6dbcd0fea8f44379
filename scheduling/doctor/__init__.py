"""The doctor: everything that can be wrong with schedules, stores, processes and the machine, and what to do about it.

`manage.py schedule_doctor` prints what `examine()` finds. Each examination is a generator in one of this package's
modules; each finding has a stable id, which docs/doctor.md lists.
"""

from scheduling.doctor.findings import Finding, Severity, examine

__all__ = ["Finding", "Severity", "examine"]
