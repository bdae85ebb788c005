"""Weights on the Hugging Face hub, by their names: hf://OWNER/NAME, or hf://OWNER/NAME@REVISION.

huggingface_hub fetches them, once, into its own cache; what its environment variables say holds
here too (HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE). `pip install 'jaxcolor[hub]'` brings it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

FILE = "model.safetensors"  # what libraries call the weights of a repository
SCHEME = "hf://"
_NAME = re.compile(rf"{SCHEME}([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


class HubError(OSError):
    """A file of the hub cannot be had; the text is one line for the person who asked for it."""


def is_name(text: str) -> bool:
    """Whether a text is meant to name something on the hub."""
    return text.startswith(SCHEME)


def fetch(name: str) -> Path:
    """The weights of a repository, in the cache of this machine.

    Args:
      name: hf://OWNER/NAME, with @ and a branch, a tag or a commit where it is not to be `main`.

    Raises:
      HubError: there is no such repository, revision or file; it cannot be reached and lies in no
        cache; or huggingface_hub is not installed.
      ValueError: the text is no such name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name}: a name on the hub is {SCHEME}OWNER/NAME, or ...@REVISION")
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ModuleNotFoundError:
        raise HubError(f"{name}: needs a further package: pip install 'jaxcolor[hub]'") from None
    try:
        file = huggingface_hub.hf_hub_download(
            match[1],
            FILE,
            revision=match[2],
            endpoint=os.environ.get("HF_ENDPOINT"),
            library_name="jaxcolor",
        )
    except errors.GatedRepoError:
        reason = "asks who you are; get access on its page, and log in (hf auth login)"
    except errors.RepositoryNotFoundError:
        reason = "there is no such repository, or it is private (hf auth login)"
    except errors.RevisionNotFoundError:
        reason = f"the repository has no revision {match[2]}"
    except errors.LocalEntryNotFoundError:
        reason = "cannot be reached, and lies in no cache of this machine"
    except errors.EntryNotFoundError:
        reason = f"the repository has no {FILE}"
    except (errors.HFValidationError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    else:
        return Path(file)
    raise HubError(f"{name}: {reason}")


def cached() -> list[tuple[str, Path]]:
    """The names that need not be fetched any more, each with its file."""
    try:
        from huggingface_hub import errors, scan_cache_dir
    except ModuleNotFoundError:
        return []
    try:
        repositories = scan_cache_dir().repos
    except errors.CacheNotFound:
        return []
    found = []
    for repository in repositories:
        for revision in repository.revisions:
            # What no branch or tag points at any more is had by its commit.
            for ref in sorted(revision.refs) or [revision.commit_hash]:
                name = f"{SCHEME}{repository.repo_id}" + ("" if ref == "main" else f"@{ref}")
                found += [(name, f.file_path) for f in revision.files if f.file_name == FILE]
    return sorted(found)
