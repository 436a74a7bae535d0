"""Names of spans' attributes, and the attributes of one job. The only list of these names; arguments of jobs are never among them.

Names that begin with ``messaging``, ``server`` or ``error`` are those of the semantic conventions for messaging in
the schema below, spelled out here since their status is Development: packages of constants move them about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry.util.types import AttributeValue

from spinach.brokers.base import Broker
from spinach.job import Job
from spinach.origin import Origin, recovered_from

from . import exportable
from .complaints import Complaints

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

MESSAGING_SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION_NAME: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_COUNT: Final = "messaging.batch.message_count"
CLIENT_ID: Final = "messaging.client.id"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

NAMESPACE: Final = "spinach.namespace"
TASK_NAME: Final = "spinach.task.name"
JOB_ATTEMPT: Final = "spinach.job.attempt"
JOB_MAX_RETRIES: Final = "spinach.job.max_retries"
JOB_ORIGIN: Final = "spinach.job.origin"
JOB_DUE_AT: Final = "spinach.job.due_at"
JOB_QUEUE_WAIT: Final = "spinach.job.queue_wait"
JOB_OUTCOME: Final = "spinach.job.outcome"
JOB_RECOVERED_FROM: Final = "spinach.job.recovered_from"
#: On links: `LINK_CREATION` or `LINK_PREVIOUS`.
LINK: Final = "spinach.link"
LINK_CREATION: Final = "creation"
LINK_PREVIOUS: Final = "previous"

SYSTEM: Final = "spinach"
SEND: Final = "send"
CREATE: Final = "create"
PROCESS: Final = "process"

Attributes = dict[str, AttributeValue]
JobAttributes = Callable[[Job], Mapping[str, AttributeValue]]

# Attached tasks and their queues are few; jobs from elsewhere must not make this grow.
_MAX_TEMPLATES: Final = 1000


class Describer:
    """Makes the attributes that spans are created with, so that samplers see them.

    Args:
        broker: Whose jobs.
        further: Returns more attributes for a job, such as some of its arguments.
        complaints: Where a failing `further` is told.
    """

    def __init__(self, broker: Broker, further: JobAttributes | None, complaints: Complaints) -> None:
        self._broker = broker
        self._further = further
        self._complaints = complaints
        self._templates: dict[tuple[str, str | None, str | None], Attributes] = {}

    def destination(self, queue: str) -> str:
        """Return the name of a queue that is unique in its Redis."""
        return exportable.name(f"{self._broker.namespace}/{queue}")

    def submitted(self, operation: str, job: Job, origin: Origin) -> Attributes:
        """Return the attributes of a job that is being scheduled."""
        attributes = self._of_job(operation, job)
        attributes[JOB_ORIGIN] = origin.value
        return self._with_further(attributes, job)

    def submitted_together(self, queue: str | None, count: int) -> Attributes:
        """Return the attributes of a batch; `queue` is None where it goes to several."""
        attributes = self.shared(SEND, None, queue).copy()
        if client_id := self._broker.worker_id:
            attributes[CLIENT_ID] = client_id
        attributes[JOB_ORIGIN] = Origin.BATCH.value
        attributes[MESSAGE_COUNT] = count
        return attributes

    def attempted(self, job: Job, attempt: int, queue_wait: float, origin: Origin | None) -> Attributes:
        """Return the attributes of an attempt that begins."""
        attributes = self._of_job(PROCESS, job)
        attributes[JOB_ATTEMPT] = attempt
        attributes[JOB_QUEUE_WAIT] = queue_wait
        if origin is not None:
            attributes[JOB_ORIGIN] = origin.value
            if origin is Origin.RECOVERY and (dead := recovered_from(job, attempt)):
                attributes[JOB_RECOVERED_FROM] = dead
        return self._with_further(attributes, job)

    def _of_job(self, operation: str, job: Job) -> Attributes:
        attributes = self.shared(operation, job.task_name, job.queue).copy()
        attributes[MESSAGE_ID] = job.held_as  # its id, as the text it was read from spells it
        if client_id := self._broker.worker_id:
            attributes[CLIENT_ID] = client_id
        attributes[JOB_MAX_RETRIES] = job.max_retries
        attributes[JOB_DUE_AT] = job.at.isoformat()
        return attributes

    def _with_further(self, attributes: Attributes, job: Job) -> Attributes:
        if self._further is not None:
            try:
                attributes.update(exportable.attributes(self._further(job)))
            except BaseException as error:
                self._complaints.report("call job_attributes", error)
        return attributes

    def shared(self, operation: str, task: str | None, queue: str | None) -> Attributes:
        """Return the attributes that do not depend on the job: always the same object, not to be changed."""
        template = self._templates.get((operation, task, queue))
        if template is None:
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            template = self._templates[operation, task, queue] = self._make_template(operation, task, queue)
        return template

    def _make_template(self, operation: str, task: str | None, queue: str | None) -> Attributes:
        attributes: Attributes = {
            MESSAGING_SYSTEM: SYSTEM,
            OPERATION_NAME: operation,
            OPERATION_TYPE: operation,
            NAMESPACE: exportable.name(self._broker.namespace),
        }
        if queue is not None:
            attributes[DESTINATION_NAME] = self.destination(queue)
        if task is not None:
            attributes[TASK_NAME] = exportable.name(task)
        if endpoint := self._broker.endpoint:
            address, port = endpoint
            attributes[SERVER_ADDRESS] = address
            if port is not None:
                attributes[SERVER_PORT] = port
        return attributes
