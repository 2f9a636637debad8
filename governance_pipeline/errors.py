"""The failures a user can meet, as a tree; each message says what is wrong and what to do.

GovernanceError
|-- InputError             a value handed to a function or a command is out of its range
|-- RegistryError          the registry's YAML is unreadable, invalid or fails its lint
|-- SourceError            governance.yaml points at something that is not there or cannot be mapped
|-- DeliveryError          a delivered file cannot be read as its feed
|-- ExpectationFileError   a suite in expectations/ is malformed
|-- WarehouseError         the warehouse is missing, or a table of it is
|-- EngineError            the engine of the marts cannot start here
|-- LockedError            another run is writing; the message says which
|-- PublishError           a snapshot could not be built or found
|-- RefusedError           an escalation's rules do not allow what was asked; it stays as it was
|-- ConflictError          somebody else acted on the escalation first; the message says who
`-- StoreError             the escalations' store cannot be reached, or is of another version
"""


class GovernanceError(Exception):
    """Any failure this project expects; shown as one sentence, never as a traceback."""


class InputError(GovernanceError, ValueError):
    """A value handed to a function or a command is out of its range."""


class RegistryError(GovernanceError):
    """The registry's YAML is unreadable, invalid or fails its lint."""


class SourceError(GovernanceError):
    """`governance.yaml` points at something that is not there or cannot be mapped."""


class DeliveryError(GovernanceError):
    """A delivered file cannot be read as its feed."""


class ExpectationFileError(GovernanceError):
    """A suite in `expectations/` is malformed."""


class WarehouseError(GovernanceError):
    """The warehouse is missing, or a table of it is."""


class EngineError(GovernanceError):
    """The engine of the marts cannot start here."""


class LockedError(GovernanceError):
    """Another run is writing; the message says which."""


class PublishError(GovernanceError):
    """A snapshot could not be built or found."""


class RefusedError(GovernanceError):
    """An escalation's rules do not allow what was asked; it stays as it was."""


class ConflictError(GovernanceError):
    """Somebody else acted on the escalation first; the message says who."""


class StoreError(GovernanceError):
    """The escalations' store cannot be reached, or is of another version."""
