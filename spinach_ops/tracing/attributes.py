"""The attributes of spans: the only list of their names, and their values, which exporters can encode.

Arguments of jobs are never among them. Names that begin with ``messaging``, ``server`` or ``error`` are those
of the semantic conventions for messaging in the schema below. They are written out here because their status
is Development: the packages of constants rename and move them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.util.types import AttributeValue

from spinach.brokers.base import Broker
from spinach.job import Job
from spinach.origin import Origin, recovered_from

from .failures import FailureLog

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

# Longer names of tasks and queues are cut.
MAX_NAME_CHARACTERS: Final = 1024
_MAX_INTEGER: Final = 2**63 - 1
# The cache holds one entry per task and queue; jobs with names from elsewhere must not make it grow.
_MAX_CACHED: Final = 1000


class AttributeBuilder:
    """Builds the attributes that spans start with, so that samplers see them.

    Args:
        broker: The broker of the jobs.
        job_attributes: Returns more attributes for a job, such as some of its arguments.
        failures: Where a failure of `job_attributes` is reported.
    """

    def __init__(self, broker: Broker, job_attributes: JobAttributes | None, failures: FailureLog) -> None:
        self._broker = broker
        self._job_attributes = job_attributes
        self._failures = failures
        self._cache: dict[tuple[str, str | None, str | None], Attributes] = {}

    def destination(self, queue: str) -> str:
        """Return the name of a queue that is unique in its Redis."""
        return encodable_name(f"{self._broker.namespace}/{queue}")

    def for_submission(self, operation: str, job: Job, origin: Origin) -> Attributes:
        """Return the attributes of a job that is being scheduled."""
        attributes = self._for_job(operation, job)
        attributes[JOB_ORIGIN] = origin.value
        if self._job_attributes is not None:
            self._add(self._job_attributes, attributes, job)
        return attributes

    def for_batch(self, queue: str | None, count: int) -> Attributes:
        """Return the attributes of a batch; `queue` is None if its jobs go to several queues."""
        attributes = self.for_task(SEND, None, queue).copy()
        if client_id := self._broker.worker_id:
            attributes[CLIENT_ID] = client_id
        attributes[JOB_ORIGIN] = Origin.BATCH.value
        attributes[MESSAGE_COUNT] = count
        return attributes

    def for_attempt(self, job: Job, attempt: int, queue_wait: float, origin: Origin | None) -> Attributes:
        """Return the attributes of an attempt that begins."""
        attributes = self._for_job(PROCESS, job)
        attributes[JOB_ATTEMPT] = attempt
        attributes[JOB_QUEUE_WAIT] = queue_wait
        if origin is not None:
            attributes[JOB_ORIGIN] = origin.value
            if origin is Origin.RECOVERY and (dead := recovered_from(job, attempt)):
                attributes[JOB_RECOVERED_FROM] = dead
        if self._job_attributes is not None:
            self._add(self._job_attributes, attributes, job)
        return attributes

    def _for_job(self, operation: str, job: Job) -> Attributes:
        attributes = self.for_task(operation, job.task_name, job.queue).copy()
        attributes[MESSAGE_ID] = job.held_as  # the id as the stored job spells it
        if client_id := self._broker.worker_id:
            attributes[CLIENT_ID] = client_id
        attributes[JOB_MAX_RETRIES] = job.max_retries
        attributes[JOB_DUE_AT] = job.at.isoformat()
        return attributes

    def _add(self, job_attributes: JobAttributes, attributes: Attributes, job: Job) -> None:
        try:
            given = job_attributes(job)
            attributes.update({encodable(key): _encodable_value(value) for key, value in given.items()})
        except BaseException as error:
            self._failures.report("call job_attributes", error)

    def for_task(self, operation: str, task: str | None, queue: str | None) -> Attributes:
        """Return the attributes that jobs of a task and queue share. Callers must not change the result."""
        cached = self._cache.get((operation, task, queue))
        if cached is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            cached = self._cache[operation, task, queue] = self._build_for_task(operation, task, queue)
        return cached

    def _build_for_task(self, operation: str, task: str | None, queue: str | None) -> Attributes:
        attributes: Attributes = {
            MESSAGING_SYSTEM: SYSTEM,
            OPERATION_NAME: operation,
            OPERATION_TYPE: operation,
            NAMESPACE: encodable_name(self._broker.namespace),
        }
        if queue is not None:
            attributes[DESTINATION_NAME] = self.destination(queue)
        if task is not None:
            attributes[TASK_NAME] = encodable_name(task)
        if endpoint := self._broker.endpoint:
            address, port = endpoint
            attributes[SERVER_ADDRESS] = address
            if port is not None:
                attributes[SERVER_PORT] = port
        return attributes


def encodable(text: str) -> str:
    """Return a text with lone surrogates escaped: because of one, exporters drop a batch of spans."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def encodable_name(text: str) -> str:
    """Return a name that an exporter can encode, cut to `MAX_NAME_CHARACTERS`."""
    return encodable(text[:MAX_NAME_CHARACTERS])


def _encodable_value(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, int) and not -_MAX_INTEGER <= value <= _MAX_INTEGER:
        return str(value)
    if isinstance(value, Mapping):
        return {
            encodable(key) if isinstance(key, str) else key: _encodable_value(each)
            for key, each in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(map(_encodable_value, value))
    return value
