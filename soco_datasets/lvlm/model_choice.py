"""Which model `--model` names: a local one (provider `soco_hf`), or a remote one of inspect-ai's providers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import SocoError, UsageError
from ..utils.paths import local_path
from ..utils.text import public_url
from .batch_lines import keep_good_lines
from .failures import retries

if TYPE_CHECKING:
    from inspect_ai.model import Model

LOCAL = "soco_hf"
# inspect-ai's providers that take images; a Hub id of an organization of the same name is written soco_hf/google/...
REMOTE = (
    "anthropic", "azureai", "bedrock", "cloudflare", "fireworks", "google", "grok", "groq", "hf-inference-providers",
    "mistral", "mockllm", "ollama", "openai", "openai-api", "openrouter", "sagemaker", "sglang", "together", "vllm",
)  # fmt: skip
BATCHED = ("anthropic", "google", "grok", "openai", "together")  # whose batch interface inspect-ai uses
_ENDPOINT = "openai-api/endpoint"  # an OpenAI-compatible server, whatever it is called
_NO_KEY = "none"  # the client wants a text; it is not sent
_CONNECT = 10  # seconds a server may take to accept a connection
_IDENTITY = ("model_type", "weights_hash", "config_hash", "dtype", "decoding", "max_pixels", "min_pixels", "processor")
_LOCAL_OPTIONS = ("device", "dtype", "batch_size", "min_pixels", "max_pixels", "revision")


@dataclass(frozen=True)
class ModelOptions:
    """Which model is asked.

    Attributes:
        model: a folder, a Hub id, "PROVIDER/NAME" of inspect-ai, or with `base_url` the name the endpoint knows.
        base_url: of an OpenAI-compatible endpoint.
        api_key_env: name of the environment variable that holds the endpoint's key; the key itself is never an option.
        device, dtype, batch_size, min_pixels, max_pixels, revision: of a local model, see `hf_model.ModelLoading`.
    """

    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 8
    min_pixels: int | None = None
    max_pixels: int | None = None
    revision: str | None = None


def model_name(options: ModelOptions) -> str:
    """inspect-ai's name of the model.

    >>> model_name(ModelOptions("Qwen/Qwen2.5-VL-7B-Instruct"))
    'soco_hf/Qwen/Qwen2.5-VL-7B-Instruct'
    >>> model_name(ModelOptions("openai/gpt-4o")), model_name(ModelOptions("gpt-4o", base_url="http://localhost:8000/v1"))
    ('openai/gpt-4o', 'openai-api/endpoint/gpt-4o')
    """
    provider = options.model.partition("/")[0]
    if provider == LOCAL or (provider in REMOTE and not Path(options.model).is_dir()):
        return options.model
    return f"{_ENDPOINT}/{options.model}" if options.base_url else f"{LOCAL}/{options.model}"


def is_local_name(options: ModelOptions) -> bool:
    """Whether the model runs on this machine, in `transformers`."""
    return model_name(options).startswith(f"{LOCAL}/")


def check_batch(options: ModelOptions) -> None:
    """Refuse batch mode for a provider that has none: inspect-ai would send the requests one by one and say nothing.

    Raises:
        UsageError: such a provider, or a local model.
    """
    if model_name(options).partition("/")[0] not in BATCHED:
        raise UsageError(
            f"--batch is for providers with a batch mode ({', '.join(BATCHED)}); {options.model} is not of one. Leave "
            "it out, or name an endpoint that has OpenAI's batch interface as --model openai/NAME --base-url URL."
        )


def open_model(options: ModelOptions) -> Model:
    """The model, loaded or ready to be asked.

    Raises:
        UsageError: an option of a local model for a remote one or the other way round, an unset key variable.
        BackboneError: a local model that cannot be loaded.
        SocoError: inspect-ai cannot open the provider (a missing package or key).
    """
    from inspect_ai.model import GenerateConfig, get_model

    name = model_name(options)
    if name.startswith(f"{LOCAL}/"):
        from . import hf_provider  # noqa: F401 - registers the provider

        _refuse(options, ("base_url", "api_key_env"), "a remote model")
        arguments: dict[str, Any] = {field: getattr(options, field) for field in _LOCAL_OPTIONS}
        model = get_model(name, memoize=False, config=GenerateConfig(), **arguments)
        model.api.load()  # before the first question, so that what is wrong with it is reported once
        return model
    _refuse(options, _LOCAL_OPTIONS, "a local model")
    key = _key(options)
    endpoint = name.startswith(f"{_ENDPOINT}/")
    client = {"max_retries": 0} if endpoint else {}  # else each of ours is three requests
    try:
        model = get_model(
            name, memoize=False, base_url=options.base_url, api_key=key or (_NO_KEY if endpoint else None), **client
        )
        model.api.should_retry = retries(model.api.should_retry)
        keep_good_lines(model.api)
        if endpoint:
            _hook(model.api, "response", _show_error)
        if endpoint and key is None:
            _hook(model.api, "request", _drop_key)
        return model
    except Exception as error:  # inspect-ai's PrerequisiteError and the clients' own
        reason = re.sub(r"\[/?[a-z ]*\]", "", " ".join(str(error).split()))  # without its terminal colors
        raise SocoError(f"{options.model} cannot be asked: {reason or type(error).__name__}") from error


@contextmanager
def kept_loaded(model: ModelOptions) -> Iterator[None]:
    """Keep a local model in memory between runs, which share it."""
    if not model_name(model).startswith(f"{LOCAL}/"):
        yield
        return
    kept = open_model(model)
    try:
        yield
    finally:
        kept.api.close()


def model_identity(model: Model) -> dict[str, Any]:
    """What of a model decides its answers; answers of two identities are never mixed in one file."""
    record = getattr(model.api, "record", None)
    if record is not None:
        return {name: record[name] for name in _IDENTITY if name in record}
    return {"name": str(model), "base_url": public_base(model)}


def public_base(model: Model) -> str | None:
    """The address of a model's endpoint without user and password, None where it has none."""
    return public_url(model.api.base_url) if model.api.base_url else None


def check_endpoint(base_url: str) -> None:
    """Check that something listens at an address, before every question waits through its retries.

    Raises:
        UsageError: not an address.
        SocoError: nothing answers there.
    """
    parts, shown = urlsplit(base_url), public_url(base_url)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        raise UsageError(f"{shown!r} is not the address of an endpoint, such as http://localhost:8000/v1.") from None
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return  # whether it can be reached is for the proxy to say
    try:
        socket.create_connection((host, port), timeout=_CONNECT).close()
    except OSError as error:
        raise SocoError(
            f"Nothing answers at {shown} ({error.strerror or error}). Check --base-url, and that its server runs."
        ) from error


def folder_name(model: str) -> str:
    """A name of a folder for the model's answers.

    >>> folder_name("Qwen/Qwen2.5-VL-7B-Instruct"), folder_name("/models/tiny/")
    ('Qwen--Qwen2.5-VL-7B-Instruct', 'tiny')
    """
    folder = local_path(model)
    text = folder.name if folder.is_absolute() or folder.is_dir() else model.removeprefix(f"{LOCAL}/")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text.strip("/").replace("/", "--")).strip(".-")
    if not name:
        raise UsageError(f"{model!r} is not the name of a model.")
    return name


def _key(options: ModelOptions) -> str | None:
    if options.api_key_env is not None:
        key = os.environ.get(options.api_key_env)
        if not key:
            raise UsageError(f"The environment variable {options.api_key_env} is not set: put the key there.")
        return key
    return None


def _hook(api: Any, event: str, hook: Callable[[Any], Any]) -> None:
    """Call `hook` with every request or response of an endpoint, also after inspect-ai made a new HTTP client."""
    own = api.initialize

    def initialize() -> None:
        own()
        api.http_client.event_hooks[event].append(hook)

    api.initialize = initialize
    api.http_client.event_hooks[event].append(hook)


async def _drop_key(request: Any) -> None:
    """Take the placeholder key out of a request."""
    request.headers.pop("Authorization", None)


async def _show_error(response: Any) -> None:
    """Give an error that was sent with status 200 the status that it names, else 500: the client then reports it."""
    if response.status_code != 200 or "json" not in response.headers.get("Content-Type", ""):
        return
    await response.aread()
    if not response.content[:200].lstrip().startswith(b'{"error"'):
        return
    with contextlib.suppress(ValueError, RecursionError):
        reply = json.loads(response.content)
        code = reply["error"].get("code") if isinstance(reply["error"], dict) else None
        if not reply.get("choices"):
            response.status_code = code if isinstance(code, int) and 400 <= code < 600 else 500


def _refuse(options: ModelOptions, fields: tuple[str, ...], what: str) -> None:
    for field in fields:
        if getattr(options, field) != getattr(ModelOptions, field):
            raise UsageError(f"--{field.replace('_', '-')} is for {what}; {options.model} is not one.")
