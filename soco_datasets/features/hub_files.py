"""The files of a Hub checkpoint: config, weights by name and size, and what the Hub refuses as one error. No torch."""

from __future__ import annotations

from pathlib import Path

from ..errors import BackboneError
from ..utils.hub_reach import check_reachable
from .checkpoint import (
    CONFIG_FILE,
    CONVERT,
    PIPELINE,
    WEIGHTS,
    WEIGHTS_INDEX,
    shards_of,
)


def fetch_config(hub_id: str, revision: str | None = None) -> Path:
    """config.json (of a pipeline: model_index.json) of a Hub checkpoint in the cache. Use within `HubErrors`.

    The name of the file's folder is the commit.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        check_reachable(hub_id, CONFIG_FILE, revision)
        return Path(hf_hub_download(hub_id, CONFIG_FILE, revision=revision))  # .../snapshots/<commit>/config.json
    except LocalEntryNotFoundError:
        cached = try_to_load_from_cache(hub_id, PIPELINE, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        raise
    except EntryNotFoundError as error:
        try:
            return Path(hf_hub_download(hub_id, PIPELINE, revision=revision))
        except (EntryNotFoundError, LocalEntryNotFoundError):
            raise error from None


def model_weights_on_hub(hub_id: str, commit: str) -> tuple[str, ...]:
    """Names of the weights files of a Hub model that is no pipeline, found without downloading them.

    Use within `HubErrors`.

    Raises:
        BackboneError: there are none in safetensors.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        bytes_to_download(hub_id, WEIGHTS, commit)
        return (WEIGHTS,)
    except EntryNotFoundError:
        pass
    try:
        index = Path(hf_hub_download(hub_id, WEIGHTS_INDEX, revision=commit))
    except LocalEntryNotFoundError:
        raise  # offline: nothing is known about the repository
    except EntryNotFoundError as error:
        raise BackboneError(
            f"{hub_id} has no {WEIGHTS} (commit {commit}): only safetensors are loaded, never a pickle. {CONVERT}; "
            "or, where the Hub's conversion bot has opened a pull request, pass its revision (refs/pr/N)."
        ) from error
    return tuple(shards_of(index, hub_id))


def bytes_to_download(hub_id: str, name: str, commit: str) -> int | None:
    """Size of a file of a Hub checkpoint, 0 when it is in the cache, None when the Hub does not say its size.

    Asks for the file as a download would, so a file that is gated or missing raises what a download would raise: use
    within `HubErrors`.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(try_to_load_from_cache(hub_id, name, revision=commit), str):
        return 0
    if constants.HF_HUB_OFFLINE:
        raise LocalEntryNotFoundError(f"{name} of {hub_id} is not in the cache")
    return get_hf_file_metadata(hf_hub_url(hub_id, name, revision=commit)).size


class HubErrors:
    """Context that turns the Hub client's refusals into one `BackboneError` with the next step."""

    def __init__(self, hub_id: str, revision: str | None) -> None:
        self.hub_id = hub_id
        self.revision = revision

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from huggingface_hub import errors

        if error is None or isinstance(error, BackboneError):
            return
        name = self.hub_id
        # From the most to the least special: GatedRepoError is a RepositoryNotFoundError is a HfHubHTTPError.
        if isinstance(error, errors.GatedRepoError):
            text = f"{name} is gated. Accept its license at https://huggingface.co/{name}, then `hf auth login`"
        elif isinstance(error, errors.RevisionNotFoundError):
            text = f"{name} has no revision {self.revision!r}; leave it out for the newest, or give a commit or branch"
        elif isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
            text = f"There is no model {name!r} on the Hub that you may see; check its name, or `hf auth login`"
        elif isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled | ConnectionError):
            text = (
                f"{name} is not in the local cache and the Hub cannot be reached. Check the name. Run `hf download "
                f"{name}` where there is a network, or give a folder with config.json and model.safetensors"
            )
        elif isinstance(error, errors.EntryNotFoundError):
            text = f"{name} has no {CONFIG_FILE} on the Hub, so it is not a Transformers checkpoint"
        elif isinstance(error, OSError):
            text = f"{name} could not be downloaded: {str(error).strip().splitlines()[0]}. Try again"
        else:
            return
        raise BackboneError(f"{text}.") from error
