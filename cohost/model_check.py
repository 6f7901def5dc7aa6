"""The rules of one model folder: layout, configuration, ONNX files, smoke test."""

from __future__ import annotations

import os
import posixpath
import re
from typing import Any, Final

from cohost import config_fit, ensemble_fit, onnx_fit, onnx_signature, smoke_fit
from cohost.errors import InputError, Problem
from cohost.folder import CONFIG, SMOKE, ModelFile, Scan, is_lfs_pointer, shown
from cohost.manifest import LFS_FAULT
from cohost.modelconfig import ENSEMBLE, parse, signature_of
from cohost.words import did_you_mean

_VERSION: Final = re.compile(r"[1-9][0-9]*")
_STEP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_ONNX: Final = frozenset({"onnxruntime", "onnxruntime_onnx"})
# A pointer has three short lines (git-lfs docs/spec.md: less than 1024 bytes).
_POINTER_MAX: Final = 1024
# Both are written by people; a smoke test must also fit into one request.
_EFFECTIVE: Final = os.access in os.supports_effective_ids
_LARGEST: Final = {CONFIG: 4 << 20, SMOKE: 64 << 20}


class ModelCheck:
    """Looks at one model folder and collects what is wrong with it.

    Attributes:
        problems: What was found.
        names: Names of the Triton models in the folder; the served one and the steps of an ensemble.
    """

    def __init__(self, scan: Scan, name: str) -> None:
        """Prepares the check.

        Args:
            scan: The folder's content.
            name: The catalog's name of the model.
        """
        self.problems: list[Problem] = []
        self.names: tuple[str, ...] = (name,)
        self._scan = scan
        self._name = name
        self._files: dict[str, ModelFile] = {file.path: file for file in scan.files}

    def run(self) -> None:
        """Fills `problems` and `names`, cheap checks first."""
        for path, fault in self._scan.faults:
            self._problem(path, "", fault)
        pointers = self._pointers()
        if self._scan.is_repository:
            served = self._repository(pointers)
        else:
            served = self._model("", self._name, pointers)
            if served is not None and served.platform == ENSEMBLE:
                message = "an ensemble stands beside its steps: make it a sub-folder, as each step is one"
                self._problem(CONFIG, "platform", message)
        if SMOKE not in self._files:
            self._problem(SMOKE, "", "is missing: a deployment sends it to the model before callers get it")
        elif served is not None and SMOKE not in pointers:
            self._smoke(served)

    def _pointers(self) -> frozenset[str]:
        for path in self._files:
            if not os.access(self._scan.folder / path, os.R_OK, effective_ids=_EFFECTIVE):
                self._problem(path, "", "cannot be read: Permission denied")
        small = [path for path, file in self._files.items() if 0 < file.size < _POINTER_MAX]
        found = frozenset(path for path in small if is_lfs_pointer(self._read(path) or b""))
        for path in found:
            self._problem(path, "", LFS_FAULT)
        return found

    def _repository(self, pointers: frozenset[str]) -> Any | None:
        folders = sorted({path.split("/")[0] for path in self._files if "/" in path})
        self.names = tuple(folders)
        for path in self._files:
            if "/" not in path and path != SMOKE:
                self._problem(path, "", f"only model folders and {SMOKE} may stand beside the ensemble")
        for folder in folders:
            if not _STEP.fullmatch(folder):
                self._problem(folder, "", "a model's name has letters, digits, dots, dashes and underscores only")
        configs = {folder: self._model(f"{folder}/", folder, pointers) for folder in folders}
        known = {folder: config for folder, config in configs.items() if config is not None}
        ensembles = [folder for folder, config in known.items() if config.platform == ENSEMBLE]
        if len(ensembles) != 1:
            have = " and ".join(ensembles) or "none"
            self._problem("", "", f'needs exactly one model with platform: "{ENSEMBLE}", it has {have}')
            return None
        if ensembles[0] != self._name:
            message = f'the ensemble\'s folder must be named "{self._name}", as the model in the catalog'
            self._problem(ensembles[0], "", message)
        else:
            # Steps whose own configuration is broken are reported already; what they lack would be a guess.
            if len(known) == len(configs):
                others = {folder: config for folder, config in known.items() if folder != self._name}
                for key, message in ensemble_fit.misfits(known[self._name], others):
                    self._problem(f"{self._name}/{CONFIG}", key, message)
        return known[ensembles[0]]

    def _model(self, prefix: str, name: str, pointers: frozenset[str]) -> Any | None:
        """Checks one Triton model and returns its configuration, or None where there is none to go on with."""
        where = prefix + CONFIG
        if where not in self._files:
            self._problem(where, "", "is missing: Triton needs one for each model (`cohost add` makes one)")
            return None
        data = None if where in pointers else self._read(where)
        if data is None:
            return None
        try:
            config = parse(data, self._shown(where))
        except InputError as error:
            self.problems += error.problems
            return None
        if config.name and config.name != name:
            self._problem(where, "name", f'is "{config.name}", the model is "{name}": make them equal or leave it out')
        for key, message in config_fit.misfits(config):
            self._problem(where, key, message)
        self._versions(prefix, config, pointers)
        return config

    def _versions(self, prefix: str, config: Any, pointers: frozenset[str]) -> None:
        below = [path[len(prefix) :] for path in self._files if path.startswith(prefix)]
        folders = {path.split("/")[0] for path in below if "/" in path}
        versions = sorted(folder for folder in folders if _VERSION.fullmatch(folder))
        if not versions:
            self._problem(f"{prefix}1", "", "is missing: a model needs a version folder with at least one file")
        if (config.backend or config.platform) in _ONNX:
            for version in versions:
                self._onnx(f"{prefix}{version}/{config.default_model_filename or 'model.onnx'}", config, pointers)

    def _onnx(self, path: str, config: Any, pointers: frozenset[str]) -> None:
        if path in pointers:
            return
        if path not in self._files:
            folder = path.rpartition("/")[0]
            beside = [p.rpartition("/")[2] for p in self._files if p.rpartition("/")[0] == folder]
            self._problem(path, "", "is missing" + did_you_mean(path.rpartition("/")[2], beside))
            return
        try:
            model = onnx_signature.read(self._scan.folder / path)
        except onnx_signature.NotOnnx as error:
            self._problem(path, "", str(error))
            return
        except OSError as error:
            self._problem(path, "", f"cannot be read: {error.strerror}")
            return
        config_file = path.rsplit("/", 2)[0] + f"/{CONFIG}" if path.count("/") > 1 else CONFIG
        for key, message in onnx_fit.misfits(config, model):
            self._problem(config_file, key, message)
        for name in model.external:
            if posixpath.normpath(f"{path.rpartition('/')[0]}/{name}") not in self._files:
                self._problem(path, "", f'its weights are in "{name}", which is not beside it')

    def _smoke(self, config: Any) -> None:
        data = self._read(SMOKE)
        if data is not None:
            optional = frozenset(tensor.name for tensor in config.input if tensor.optional)
            self.problems += smoke_fit.misfits(data, self._shown(SMOKE), signature_of(config), optional)

    def _read(self, path: str) -> bytes | None:
        largest = _LARGEST.get(posixpath.basename(path), 0)
        if largest and self._files[path].size > largest:
            self._problem(path, "", f"has {self._files[path].size:,} bytes; at most {largest:,} make sense")
            return None
        try:
            return (self._scan.folder / path).read_bytes()
        except OSError as error:
            self._problem(path, "", f"cannot be read: {error.strerror}")
            return None

    def _shown(self, path: str) -> str:
        return shown(self._scan.folder / path)

    def _problem(self, path: str, key: str, message: str) -> None:
        problem = Problem(self._shown(path), key, message)
        if problem not in self.problems:
            self.problems.append(problem)
